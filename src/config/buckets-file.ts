import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { MAX_PRIME_SIZES } from '../domain/access/size-policy.ts'
import type { Spec } from '../domain/spec/spec.ts'
import { parseCanonicalSpec } from '../domain/spec/spec.ts'
import { ConfigError } from './env.ts'
import { readBy } from './fields.ts'

/** A bucket whose objects are served. Times are in whole seconds. */
export interface BucketSettings {
  /** Name in URLs: `/s3/<alias>/…`. */
  readonly alias: string
  /** Name on the S3 server. */
  readonly bucket: string
  /** Absent: AWS. */
  readonly endpoint?: string
  readonly region: string
  readonly pathStyle: boolean
  /** Absent: the credential chain of the AWS SDK. */
  readonly credentials?:
    | 'anonymous'
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
  /** Freshness lifetime: an object is served for this time without revalidation. */
  readonly freshSeconds: number
  /** After `freshSeconds`, a stale object is served for this time while it is revalidated. */
  readonly staleWhileRevalidateSeconds: number
  /** After `freshSeconds`, a stale object is served for this time while the bucket is unavailable. */
  readonly staleIfErrorSeconds: number
  /** Canonical specs that are rendered after an event notification of a new object. */
  readonly primeSizes: readonly Spec[]
  /** Only keys with this prefix are served. */
  readonly keyPrefix: string
}

type Env = Readonly<Record<string, string | undefined>>

const YEAR_SECONDS = 31_536_000
const ALIAS = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/
const ALIAS_RULE =
  'an alias should have 1 to 63 lower-case letters, digits, dots and dashes, and begin and end with a letter or digit'
const REFERENCE = /^\$(?:\{(?<braced>[A-Za-z_]\w*)\}|(?<bare>[A-Za-z_]\w*))$/
const REFERENCE_RULE = 'should name an environment variable, such as $NAME; the file may not contain secrets'

const seconds = (preset: number) =>
  z
    .int('should be a whole number of seconds')
    .min(0, 'should be at least 0')
    .max(YEAR_SECONDS, `should be at most ${YEAR_SECONDS}, a year`)
    .default(preset)

const secret = z.string('should be a string').regex(REFERENCE, REFERENCE_RULE).optional()

const Entry = z.strictObject(
  {
    bucket: z
      .string('should be a string')
      .regex(
        /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/,
        'should be a bucket name of 3 to 255 letters, digits, dots, dashes and underscores, such as my-photos',
      )
      .optional(),
    endpoint: z
      .url({ protocol: /^https?$/, error: 'should be a URL such as https://minio.internal:9000' })
      .refine((url) => isPlain(url), 'should be without user name, password, query and fragment')
      .optional(),
    region: z.string('should be a string').min(1, 'should not be empty').default('us-east-1'),
    pathStyle: z.boolean('should be true or false').default(true),
    accessKeyId: secret,
    secretAccessKey: secret,
    sessionToken: secret,
    anonymous: z.boolean('should be true or false').default(false),
    freshSeconds: seconds(60),
    staleWhileRevalidateSeconds: seconds(60),
    staleIfErrorSeconds: seconds(86_400),
    primeSizes: z
      .array(
        z.string('should be a string').transform(readBy(parseCanonicalSpec)),
        'should be a list of sizes, such as [400w, 800w]',
      )
      .max(MAX_PRIME_SIZES, `should have at most ${MAX_PRIME_SIZES} sizes`)
      .default([]),
    keyPrefix: z
      .string('should be a string')
      .refine((prefix) => Buffer.byteLength(prefix) <= 1024, 'should have at most 1,024 bytes')
      .default(''),
  },
  { error: groupMistake },
)
type Entry = z.infer<typeof Entry>

const File = z.strictObject(
  { buckets: z.record(z.string(), z.unknown(), 'should be a map from aliases to buckets') },
  { error: groupMistake },
)

/**
 * The buckets of a YAML or JSON file, in the order of the file.
 *
 * @param path Empty: no buckets.
 * @param env Contains the secrets that the file refers to.
 * @throws ConfigError with all mistakes.
 */
export async function loadBuckets(path: string, env: Env): Promise<readonly BucketSettings[]> {
  if (path === '') return []
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const rule = 'it should be a YAML file that the user of this process can read, such as /etc/darkroom-buckets.yaml'
    throw new ConfigError(`BUCKETS_FILE: ${error instanceof Error ? error.message : String(error)}; ${rule}`)
  }
  return parseBuckets(text, env)
}

/**
 * Names of the environment variables that the file refers to.
 *
 * @param path Absent or empty: no file.
 * @returns an empty set if the file cannot be read; `loadBuckets` reports that.
 */
export async function bucketVariables(path: string | undefined): Promise<ReadonlySet<string>> {
  const text = path ? await readFile(path, 'utf8').catch(() => '') : ''
  return new Set([...text.matchAll(/\$\{?(?<name>[A-Za-z_]\w*)/g)].map(({ groups }) => groups?.['name'] ?? ''))
}

/** Like `loadBuckets`, for the content of the file. */
export function parseBuckets(text: string, env: Env): readonly BucketSettings[] {
  const file = File.safeParse(parseText(text))
  if (!file.success) throw new ConfigError(mistakesOf(file.error, 'BUCKETS_FILE').join('\n'))
  const mistakes: string[] = []
  const settings = Object.entries(file.data.buckets).flatMap(([alias, value]) => {
    const path = `BUCKETS_FILE: buckets.${alias}`
    if (!ALIAS.test(alias)) mistakes.push(`${path}: ${ALIAS_RULE}`)
    const entry = Entry.safeParse(value)
    if (!entry.success) {
      mistakes.push(...mistakesOf(entry.error, path))
      return []
    }
    if (entry.data.bucket === undefined && alias.length < 3) {
      mistakes.push(
        `${path}.bucket: is required, because a bucket name has at least 3 characters and the alias has fewer`,
      )
    }
    const secrets = resolveSecrets(entry.data, env)
    mistakes.push(...secrets.mistakes.map((mistake) => `${path}${mistake}`))
    return [settingsOf(alias, entry.data, secrets.values)]
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return settings
}

/** Reads YAML 1.2, a superset of JSON. No message repeats a value: it may be a secret. */
function parseText(text: string): unknown {
  const document = parseDocument(text, { version: '1.2', schema: 'core' })
  const mistakes = [...document.errors, ...document.warnings].map(({ code, message, linePos }) => {
    if (code !== 'TAG_RESOLVE_FAILED') return message.split(/:?\n/)[0] ?? ''
    return `A string that begins with "!" requires quotes at line ${linePos?.[0].line}`
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.map((mistake) => `BUCKETS_FILE: ${mistake}`).join('\n'))
  try {
    return document.toJS()
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    throw new ConfigError('BUCKETS_FILE: A string that begins with "*" requires quotes, unless it refers to an anchor')
  }
}

const SECRETS = ['accessKeyId', 'secretAccessKey', 'sessionToken'] as const
type Secrets = Partial<Record<(typeof SECRETS)[number], string>>

/** @returns the values, and the mistakes of the credentials; each mistake begins with `:` or `.<field>:`. */
function resolveSecrets(entry: Entry, env: Env): { values: Secrets; mistakes: readonly string[] } {
  const values: Secrets = {}
  const mistakes: string[] = []
  for (const name of SECRETS) {
    const { braced, bare } = REFERENCE.exec(entry[name] ?? '')?.groups ?? {}
    const variable = braced ?? bare
    if (variable === undefined) continue
    const value = env[variable]?.trim() ?? ''
    if (value === '') mistakes.push(`.${name}: the environment variable ${variable} is not set`)
    values[name] = value
  }
  const { accessKeyId, secretAccessKey, sessionToken } = entry
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    mistakes.push(': accessKeyId and secretAccessKey should be set together, or neither of them')
  }
  if (sessionToken !== undefined && accessKeyId === undefined && secretAccessKey === undefined) {
    mistakes.push(': sessionToken requires accessKeyId and secretAccessKey')
  }
  if (entry.anonymous && SECRETS.some((name) => entry[name] !== undefined)) {
    mistakes.push(
      ': anonymous requests have no credentials; remove anonymous, or accessKeyId, secretAccessKey and sessionToken',
    )
  }
  return { values, mistakes }
}

function settingsOf(alias: string, entry: Entry, values: Secrets): BucketSettings {
  const { accessKeyId, secretAccessKey, sessionToken } = values
  const { bucket = alias, endpoint, region, pathStyle, anonymous, primeSizes, keyPrefix } = entry
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = entry
  return {
    alias,
    bucket,
    ...(endpoint !== undefined && { endpoint }),
    region,
    pathStyle,
    ...(anonymous && { credentials: 'anonymous' }),
    ...(accessKeyId !== undefined &&
      secretAccessKey !== undefined && {
        credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      }),
    freshSeconds,
    staleWhileRevalidateSeconds,
    staleIfErrorSeconds,
    primeSizes,
    keyPrefix,
  }
}

/** True for a text that is not a URL: that mistake is reported separately. */
function isPlain(text: string): boolean {
  if (!URL.canParse(text)) return true
  const { username, password, search, hash } = new URL(text)
  return [username, password, search, hash].every((part) => part === '')
}

function groupMistake(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys')
    return `unknown ${issue.keys.length === 1 ? 'setting' : 'settings'} ${issue.keys.join(', ')}`
  return issue.code === 'invalid_type' ? 'should be a map of settings' : undefined
}

function mistakesOf(error: z.ZodError, path: string): string[] {
  return error.issues.map((issue) => `${[path, ...issue.path].join('.')}: ${issue.message}`)
}
