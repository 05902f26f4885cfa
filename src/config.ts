import { availableParallelism } from 'node:os'
import { z } from 'zod'
import {
  amount,
  byteSize,
  checkFormat,
  checkKeyAndSalt,
  checkSecret,
  count,
  list,
  readable,
  sourceBase,
  text,
  webUrl,
  whole,
} from './config-fields.ts'
import { settingsWithoutMode, unsignedDialects } from './config-modes.ts'
import { misspelledNames } from './config-names.ts'
import { formatByteAmount } from './domain/byte-amount.ts'
import { parseDialectMount } from './domain/dialect-mount.ts'
import { parseDnsServer } from './domain/dns-server.ts'
import { INPUT_FORMATS } from './domain/image-format.ts'
import { parseAddressBlock } from './domain/ip-address.ts'
import { MAX_PRIME_SIZES } from './domain/prime-sizes.ts'
import { isEveryHost, parseRemoteHost } from './domain/remote-hosts.ts'
import { specMistake } from './domain/spec-mistake.ts'

const MIB = 2 ** 20

const Env = z.object({
  STORE: z
    .string()
    .regex(/^(?:file:.+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$/, 'should be file:<folder> or s3://<bucket>')
    .default('file:./data')
    .describe('Where originals are kept: file:<folder> or s3://<bucket>'),
  S3_ENDPOINT: webUrl('URL of the S3 server; empty: AWS', 'https://s3.example.net:9000'),
  S3_REGION: z.string().min(1).default('us-east-1').describe('Region of the bucket'),
  S3_FORCE_PATH_STYLE: z.stringbool().default(true).describe('Put the bucket into the path rather than the host name'),
  AWS_ACCESS_KEY_ID: text('Credentials for s3://; empty with s3://: the chain of the AWS SDK'),
  AWS_SECRET_ACCESS_KEY: text('Its secret'),
  AWS_SESSION_TOKEN: text('Its session token, for temporary credentials'),
  STORE_TIMEOUT_SECONDS: count('An original that has not been read by then is given up', 10),
  BUCKETS_FILE: text('JSON or YAML file of the buckets whose objects are served under /s3/; see docs/buckets.md'),
  CACHE_DIR: z.string().min(1).default('./cache').describe('Folder of this node’s cache'),
  CACHE_MAX_BYTES: amount.optional().describe('Most bytes of disk that the cache may use; empty: a tenth of the disk'),
  CACHE_MIN_FREE_BYTES: amount
    .optional()
    .describe('The cache shrinks while the disk has less free than this; empty: 5 %'),
  CACHE_MAX_IDLE_DAYS: count('A file that nobody asked for in this many days goes', 30, 2),
  CACHE_SWEEP_SECONDS: count('Time from one sweep of the cache to the next', 600, 1),
  MEMORY_CACHE_BYTES: amount
    .optional()
    .describe(
      'In-memory cache; also the fallback while the disk is full or read-only. Empty: a sixteenth of the memory of the machine or its container, 128 MiB at most',
    ),
  MEMORY_CACHE_ENTRIES: count(
    'Originals whose facts and versions are kept in memory, for uploads, buckets and remote images each; about 1 KB for each',
    50_000,
    1000,
  ),
  HOST: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
  PORT: whole.min(0).max(65_535).default(8080).describe('Port to listen on; 0: any free one'),
  PUBLIC_URL: webUrl('What URLs in answers begin with; empty: they begin with a slash', 'https://img.example.com'),
  ACCEL_PREFIX: z
    .string()
    .regex(/^(?:|\/(?:[\w-]+\/)+)$/, 'should be empty, or begin and end with a slash')
    .default('')
    .describe('The internal location of nginx that holds CACHE_DIR/renditions; empty: this process sends files itself'),
  TRUSTED_PROXIES: list(
    'Addresses and blocks of proxies whose X-Forwarded-For is believed, separated by spaces; with ACCEL_PREFIX loopback always is',
    '',
    readable(parseAddressBlock),
  ),
  UPLOAD_TOKENS: list(
    'Bearer tokens that may upload, delete and read originals, separated by spaces, of 16 characters or more; ' +
      'empty: one is generated and saved as upload-token in the folder of a file: store, if HOST is loopback and ' +
      'ACCEL_PREFIX is empty; any other node then only serves',
    '',
    checkSecret,
  ),
  EVENT_TOKENS: list(
    'Tokens that the servers of buckets send with their events, separated by spaces, of 16 characters or more; empty: events are not taken',
    '',
    checkSecret,
  ),
  SIZE_POLICY: z.enum(['open', 'list', 'signed']).default('open').describe('Which sizes may be asked for'),
  SIZES: list(
    'For SIZE_POLICY=list: the specs that may be asked for, separated by spaces, such as "400w 800w 100s"',
    '',
    specMistake,
  ),
  SIZES_FALLBACK: z
    .enum(['refuse', 'redirect'])
    .default('refuse')
    .describe('For SIZE_POLICY=list: answer other sizes 403, or 302 to the next larger width that is otherwise equal'),
  URL_KEYS: list(
    'For SIZE_POLICY=signed: keys of 16 characters or more, separated by spaces; the first signs, all are accepted',
    '',
    checkSecret,
  ),
  PRIME_SIZES: list(
    `Specs that are made ahead right after every upload, separated by spaces, at most ${MAX_PRIME_SIZES}; an upload may add its own`,
    '',
    specMistake,
  ).refine((sizes) => sizes.length <= MAX_PRIME_SIZES, `should be ${MAX_PRIME_SIZES} at most`),
  RETICULUM_SIZES: z
    .stringbool()
    .default(false)
    .describe(
      'Take a size with text around it in /image/ URLs, as Reticulum does, such as "thumb-400w"; else it is refused',
    ),
  MEZZANINE_MIN_PIXELS: whole
    .min(0)
    .default(3_000_000)
    .describe('Originals of so many pixels get reduced pictures of their own, to make thumbnails of; 0: none do'),
  KEEP_COPYRIGHT: z
    .stringbool()
    .default(false)
    .describe('Copy the copyright and the artist from the original into what is made of it; nothing else ever is'),
  SHOW_GPS: z
    .stringbool()
    .default(false)
    .describe('Tell holders of a token in GET /images/{id}/info where a picture was taken'),
  INPUT_FORMATS: list(
    `Formats of originals that are read, of ${INPUT_FORMATS.join(' ')}`,
    'jpeg png webp avif gif',
    checkFormat,
  ),
  MAX_UPLOAD_BYTES: byteSize('Largest original', 64 * MIB),
  REMOTE_HOSTS: list(
    'Hosts that images may be fetched from, separated by spaces: example.com, *.example.com, https://example.com:8443; example.com?v,id names the query parameters that are allowed; * is every host, with SIZE_POLICY=signed only; empty: none',
    '',
    readable(parseRemoteHost),
  ),
  REMOTE_MAX_BYTES: byteSize(
    'Most bytes of remote images in the store: scripts/purge-remotes deletes those that nobody asks for until the rest fits',
    20 * 1024 * MIB,
  ),
  REMOTE_NEW_PER_MINUTE: count(
    'Most remote images that this node has never seen, and so adds to the store, in a minute; more are answered 429',
    1000,
  ),
  REMOTE_NEW_PER_CLIENT: whole
    .min(1, 'should be at least 1')
    .optional()
    .describe('Most of them for one client: an address of IPv4, 64 bits of IPv6; empty: a quarter'),
  REMOTE_ALLOW_ADDRESSES: list(
    'Addresses and blocks of them, such as 10.1.0.0/16, that images may be fetched from although they are not public',
    '',
    readable(parseAddressBlock),
  ),
  REMOTE_DNS: list(
    'DNS servers, as address or address:port, for the names of remote hosts; empty: the system’s',
    '',
    readable(parseDnsServer),
  ),
  REMOTE_TIMEOUT_SECONDS: count('A remote image that has not been read by then is given up', 14),
  REMOTE_DEFAULT_FRESH_SECONDS: count('How long a remote image is taken for fresh if its host does not say', 300, 0),
  REMOTE_KEEP_RENDITIONS: z
    .stringbool()
    .default(false)
    .describe('Keep what is made of remote images in the store too, beside the images themselves'),
  REMOTE_STALE_IF_ERROR_SECONDS: count(
    'While its host fails, a remote image goes on for so long after its time, unless the host forbids it',
    31_536_000,
    0,
  ),
  DIALECTS: list(
    'URLs of other services that are served, as thumbor=/thumbor or imgproxy=img.example.com, separated by spaces: thumbor, imagor, imgproxy, ipx',
    '',
    readable(parseDialectMount),
  ),
  DIALECT_FORMAT: z
    .enum(['source', 'negotiated'])
    .default('source')
    .describe('What their URLs get that name no format: the original’s own, or the best one for the client'),
  THUMBOR_KEYS: list(
    'Keys of signed URLs of thumbor and imagor, separated by spaces; empty: /unsafe/ is served instead',
    '',
    () => undefined,
  ),
  THUMBOR_HASH: z.enum(['sha1', 'sha256', 'sha512']).default('sha1').describe('What those are signed by'),
  THUMBOR_SIGNATURE_LENGTH: whole
    .min(1)
    .max(88)
    .optional()
    .describe('Characters that are kept of such a signature; empty: all'),
  THUMBOR_BASE: sourceBase('https://'),
  IMGPROXY_KEYS: list(
    'Keys of signed URLs of imgproxy, each as <key>:<salt> in hexadecimal digits, separated by spaces; empty: unsigned URLs are served',
    '',
    checkKeyAndSalt,
  ),
  IMGPROXY_SIGNATURE_BYTES: whole.min(1).max(32).default(32).describe('Bytes that are kept of such a signature'),
  IMGPROXY_BASE: sourceBase(''),
  IPX_BASE: sourceBase(''),
  MAX_PIXELS: count('Most pixels of an original, over all frames', 100_000_000),
  MAX_FRAMES: count('Most frames of an original', 500),
  MAX_SIDE: z.coerce
    .number()
    .int()
    .min(16)
    .max(16_383)
    .default(8192)
    .describe('Longest side of a rendition, in pixels'),
  RENDER_CONCURRENCY: count('Renders at once', availableParallelism()),
  RENDER_MEMORY_BYTES: amount
    .optional()
    .describe(
      'Memory that renders may take together; empty: what the machine or its container has, less what a node needs, and 1.5 GB or 400 MB for each render at most',
    ),
  RENDER_QUEUE_MAX: count(
    'Pictures that may wait for their original and their render; more are answered 503. One client has at most as many as are left for others',
    2000,
  ),
  RENDER_WAIT_MAX_SECONDS: z.coerce
    .number()
    .min(0.1, 'should be at least 0.1')
    .default(15)
    .describe(
      'Longest time that a picture or an upload waits for a renderer; one that is expected to wait longer is answered 503 at once',
    ),
  RENDER_TIMEOUT_SECONDS: count('A render that takes longer is ended', 12),
  FETCH_CONCURRENCY: count('Originals fetched from the store at once', 32),
  FETCH_QUEUE_MAX: count('Fetches that may wait for their turn, as long as a render may; more are answered 503', 2000),
  REQUEST_TIMEOUT_SECONDS: count('An answer that has not begun by then is 503 or 504', 30),
  DRAIN_SECONDS: count('Time between "not ready" and the end of listening, at the end', 2, 0),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least level that is logged'),
})

/** All settings, checked; sizes in bytes, times in seconds as their names say. */
export type Config = Readonly<z.infer<typeof Env>>

/** Everything that is wrong with the environment, one mistake a line. */
export class ConfigError extends Error {}

/**
 * @param used Names of variables that are no settings but used all the same; see `bucketVariables`.
 * @throws ConfigError naming every mistake at once.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  used: ReadonlySet<string> = new Set(),
): Config {
  // A blank variable means what an absent one does: that is how unit files and compose files leave one out.
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  )
  const parsed = Env.safeParse(given)
  const mistakes = (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
  mistakes.push(...misspelledNames(Object.keys(given), Object.keys(Env.shape), used))
  mistakes.push(...settingsWithoutMode(given), ...contradictions(given))
  if (parsed.success) mistakes.push(...limitsTogether(parsed.data), ...boundsTogether(parsed.data))
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return Object.freeze(parsed.data)
}

/** What cannot be together. It looks at the texts, so that it is heard beside whatever else is wrong. */
function contradictions(given: Readonly<Record<string, string | undefined>>): string[] {
  const mistakes: string[] = []
  if (given['SIZE_POLICY'] === 'list' && given['SIZES'] === undefined)
    mistakes.push('SIZES: is needed with SIZE_POLICY=list')
  if (given['SIZE_POLICY'] === 'signed' && given['URL_KEYS'] === undefined) {
    mistakes.push('URL_KEYS: is needed with SIZE_POLICY=signed')
  }
  if (given['SIZE_POLICY'] !== 'signed' && (given['REMOTE_HOSTS'] ?? '').split(/\s+/).some(isEveryHost)) {
    mistakes.push(
      'REMOTE_HOSTS: "*" needs SIZE_POLICY=signed: else anybody could have this node fetch, show and keep any picture of the internet',
    )
  }
  for (const name of unsignedDialects(given)) {
    mistakes.push(`DIALECTS: ${name} is not signed, and with SIZE_POLICY=signed nothing else is served`)
  }
  if ((given['AWS_ACCESS_KEY_ID'] === undefined) !== (given['AWS_SECRET_ACCESS_KEY'] === undefined)) {
    mistakes.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: give both or neither')
  }
  return mistakes
}

/** @returns what is wrong, if anything. */
function boundsTogether({ REMOTE_NEW_PER_MINUTE: inAll, REMOTE_NEW_PER_CLIENT: perClient = 0 }: Config): string[] {
  if (perClient <= inAll) return []
  return [`REMOTE_NEW_PER_CLIENT: should be ${inAll} at most, which is REMOTE_NEW_PER_MINUTE`]
}

/**
 * What one request may spend its time on: it has to end by what it waits for, which can say what went wrong. No request waits for
 * a renderer so long that no time is left to render, so fetching and waiting need not fit in together.
 */
function limitsTogether(config: Config): string[] {
  const isRemote = config.REMOTE_HOSTS.length > 0 && config.REMOTE_TIMEOUT_SECONDS > config.STORE_TIMEOUT_SECONDS
  const fetching = isRemote ? 'REMOTE_TIMEOUT_SECONDS' : 'STORE_TIMEOUT_SECONDS'
  const longest = config[fetching] > config.RENDER_WAIT_MAX_SECONDS ? fetching : 'RENDER_WAIT_MAX_SECONDS'
  const seconds = config[longest] + config.RENDER_TIMEOUT_SECONDS
  if (seconds < config.REQUEST_TIMEOUT_SECONDS) return []
  return [
    `REQUEST_TIMEOUT_SECONDS: should be more than ${seconds}, the sum of ${longest} and RENDER_TIMEOUT_SECONDS: else it ends what those would explain`,
  ]
}

/** The settings with their defaults, for `--help`. */
export function describeConfig(): string {
  const rows = Object.entries(Env.shape).map(([name, schema]) => {
    const preset = schema.safeParse(undefined)
    const input = name === 'RENDER_CONCURRENCY' ? 'the number of cores' : describeDefault(name, preset.data)
    return `  ${name} (${input})\n      ${schema.description ?? ''}`
  })
  return rows.join('\n')
}

function describeDefault(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : value.join(' ')
  if (value === '' || value === undefined) return 'empty'
  return name.endsWith('_BYTES') && typeof value === 'number'
    ? formatByteAmount(value)
    : JSON.stringify(value).replaceAll('"', '')
}
