import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { parseByteSize } from './domain/byte-size.ts'
import { INPUT_FORMATS } from './domain/image-format.ts'
import { formatSpec, parseSpec } from './domain/spec.ts'

const text = (about: string) => z.string().default('').describe(about)
const count = (about: string, preset: number, min = 1) =>
  z.coerce.number().int().min(min).default(preset).describe(about)
const byteSize = (about: string, preset: string) =>
  z
    .string()
    .default(preset)
    .transform((value, context) => {
      const bytes = parseByteSize(value)
      if (bytes !== undefined) return bytes
      context.addIssue({ code: 'custom', message: 'should be a number of bytes such as 1048576, 64M or 2G' })
      return z.NEVER
    })
    .describe(about)
const list = (about: string, preset = '') =>
  z
    .string()
    .default(preset)
    .transform((value) => value.split(/\s+/).filter((item) => item !== ''))
    .describe(about)

const Env = z.object({
  STORE: z
    .string()
    .regex(/^(?:file:.+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$/, 'should be file:<folder> or s3://<bucket>')
    .default('file:./data')
    .describe('Where originals are kept: file:<folder> or s3://<bucket>'),
  S3_ENDPOINT: z
    .union([z.literal(''), z.url()])
    .default('')
    .describe('URL of the S3 server; empty: AWS'),
  S3_REGION: z.string().min(1).default('us-east-1').describe('Region of the bucket'),
  S3_FORCE_PATH_STYLE: z.stringbool().default(true).describe('Put the bucket into the path rather than the host name'),
  AWS_ACCESS_KEY_ID: text('Credentials for s3://; empty with s3://: the chain of the AWS SDK'),
  AWS_SECRET_ACCESS_KEY: text('Its secret'),
  AWS_SESSION_TOKEN: text('Its session token, for temporary credentials'),
  STORE_TIMEOUT_SECONDS: count('An original that has not been read by then is given up', 10),
  CACHE_DIR: z.string().min(1).default('./cache').describe('Folder of this node’s cache'),
  CACHE_MAX_BYTES: byteSize('Most bytes of disk that the cache may use; 0: a tenth of the disk', '0'),
  CACHE_MIN_FREE_BYTES: byteSize('The cache shrinks while the disk has less free than this', '1G'),
  CACHE_MAX_IDLE_DAYS: count('A file that nobody asked for in this many days goes', 30, 2),
  CACHE_SWEEP_SECONDS: count('Time from one sweep of the cache to the next', 600, 1),
  MEMORY_CACHE_BYTES: byteSize('Memory in front of the disk, and while the disk takes nothing', '128M'),
  HOST: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080).describe('Port to listen on; 0: any free one'),
  PUBLIC_URL: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .default('')
    .transform((url) => url.replace(/\/+$/, ''))
    .describe('What URLs in answers begin with; empty: they begin with a slash'),
  ACCEL_PREFIX: z
    .string()
    .regex(/^(?:|\/(?:[\w-]+\/)+)$/, 'should be empty, or begin and end with a slash')
    .default('')
    .describe('The internal location of nginx that holds CACHE_DIR/renditions; empty: this process sends files itself'),
  UPLOAD_TOKENS: list('Bearer tokens that may upload and delete, separated by spaces'),
  SIZE_POLICY: z.enum(['open', 'list', 'signed']).default('open').describe('Which sizes may be asked for'),
  SIZES: list('For SIZE_POLICY=list: the specs that may be asked for, separated by spaces, such as "400w 800w 100s"'),
  SIZES_FALLBACK: z
    .enum(['refuse', 'redirect'])
    .default('refuse')
    .describe('For SIZE_POLICY=list: answer other sizes 403, or 302 to the next larger width that is otherwise equal'),
  URL_KEYS: list('For SIZE_POLICY=signed: keys separated by spaces; the first signs, all are accepted'),
  INPUT_FORMATS: list(`Formats of originals that are read, of ${INPUT_FORMATS.join(' ')}`, 'jpeg png webp avif gif'),
  MAX_UPLOAD_BYTES: byteSize('Largest original', '64M'),
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
  RENDER_QUEUE_MAX: count('Renders that may wait for their turn; more are answered 503', 200),
  RENDER_TIMEOUT_SECONDS: count('A render that takes longer is ended', 20),
  FETCH_CONCURRENCY: count('Originals fetched from the store at once', 32),
  FETCH_QUEUE_MAX: count('Fetches that may wait for their turn; more are answered 503', 500),
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

/** @throws ConfigError naming every mistake at once. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  // An empty variable means what an absent one does: that is how unit files and compose files leave one out.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = Env.safeParse(given)
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'))
  }
  const config = parsed.data
  const mistakes = contradictions(config)
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return Object.freeze({ ...config, SIZES: config.SIZES.map((size) => formatSpec(parseSpec(size))) })
}

function contradictions(config: Config): string[] {
  const mistakes: string[] = []
  if (config.UPLOAD_TOKENS.length === 0 && (config.ACCEL_PREFIX !== '' || !isLoopback(config.HOST))) {
    mistakes.push(
      'UPLOAD_TOKENS: is needed behind nginx (ACCEL_PREFIX) and on any HOST but loopback: else anybody may write',
    )
  }
  if (config.UPLOAD_TOKENS.some((token) => token.length < 16)) {
    mistakes.push('UPLOAD_TOKENS: each should have 16 characters or more, such as `openssl rand -hex 32` prints')
  }
  if (config.SIZE_POLICY === 'list' && config.SIZES.length === 0) {
    mistakes.push('SIZES: is needed with SIZE_POLICY=list')
  }
  for (const size of config.SIZES) {
    try {
      parseSpec(size)
    } catch (error) {
      mistakes.push(`SIZES: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (config.SIZE_POLICY === 'signed' && config.URL_KEYS.length === 0) {
    mistakes.push('URL_KEYS: is needed with SIZE_POLICY=signed')
  }
  if (config.URL_KEYS.some((key) => key.length < 16)) {
    mistakes.push('URL_KEYS: each should have 16 characters or more, such as `openssl rand -hex 32` prints')
  }
  if ((config.AWS_ACCESS_KEY_ID === '') !== (config.AWS_SECRET_ACCESS_KEY === '')) {
    mistakes.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: give both or neither')
  }
  for (const format of config.INPUT_FORMATS) {
    if (!INPUT_FORMATS.some((known) => known === format))
      mistakes.push(`INPUT_FORMATS: "${format}" is none of ${INPUT_FORMATS.join(' ')}`)
  }
  return mistakes
}

/** True for the addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
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
  if (value === '') return 'empty'
  return name.endsWith('_BYTES') && typeof value === 'number' ? formatBytes(value) : String(value)
}

function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['G', 2 ** 30],
    ['M', 2 ** 20],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return String(bytes)
}
