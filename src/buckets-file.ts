import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { ConfigError } from './config.ts'
import { MAX_PRIME_SIZES } from './domain/prime-sizes.ts'
import { specMistake } from './domain/spec-mistake.ts'

/** A bucket whose objects are served. Times are whole seconds. */
export interface BucketSettings {
  /** In URLs: `/s3/<alias>/…`. */
  readonly alias: string
  /** Its name on its server. */
  readonly bucket: string
  /** Absent: AWS itself. */
  readonly endpoint?: string
  readonly region: string
  readonly pathStyle: boolean
  /** Absent: wherever the SDK finds some. */
  readonly credentials?:
    | 'anonymous'
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
  /** After it was looked at, an object is served for so long without a question. */
  readonly freshSeconds: number
  /** For so long after that the old one is served while the bucket is asked. */
  readonly staleWhileRevalidateSeconds: number
  /** For so long after `freshSeconds` the old one is served while the bucket cannot be asked. */
  readonly staleIfErrorSeconds: number
  /** Canonical specs, made ahead when the bucket tells of a new object. */
  readonly primeSizes: readonly string[]
  /** Only keys that begin so are served. */
  readonly keyPrefix: string
}

type Env = Readonly<Record<string, string | undefined>>

const YEAR_SECONDS = 31_536_000
const ALIAS = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/
const ALIAS_RULE = 'an alias should have 1 to 63 lower-case letters, digits, dots and dashes, not at its ends'
const REFERENCE = /^\$(?:\{(?<braced>[A-Za-z_]\w*)\}|(?<bare>[A-Za-z_]\w*))$/
const REFERENCE_RULE =
  'should name an environment variable, as $NAME: a secret that stands here is read by everybody who reads the file'

const seconds = (preset: number) =>
  z
    .int('should be a whole number of seconds')
    .min(0, 'should be at least 0')
    .max(YEAR_SECONDS, `should be at most ${YEAR_SECONDS}, a year`)
    .default(preset)

const secret = z.string('should be a text').regex(REFERENCE, REFERENCE_RULE).optional()

const Entry = z.strictObject(
  {
    bucket: z
      .string('should be a text')
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/, 'should be the name of a bucket')
      .optional(),
    endpoint: z
      .url({ protocol: /^https?$/, error: 'should be a URL such as https://minio.internal:9000' })
      .refine((url) => isPlain(url), 'should have no user, password, query or fragment')
      .optional(),
    region: z.string('should be a text').min(1, 'should not be empty').default('us-east-1'),
    pathStyle: z.boolean('should be true or false').default(true),
    accessKeyId: secret,
    secretAccessKey: secret,
    sessionToken: secret,
    anonymous: z.boolean('should be true or false').default(false),
    freshSeconds: seconds(60),
    staleWhileRevalidateSeconds: seconds(60),
    staleIfErrorSeconds: seconds(86_400),
    primeSizes: z
      .array(z.string('should be a text').superRefine(checkSize), 'should be a list of sizes')
      .max(MAX_PRIME_SIZES, `should be ${MAX_PRIME_SIZES} at most`)
      .default([]),
    keyPrefix: z
      .string('should be a text')
      .refine((prefix) => Buffer.byteLength(prefix) <= 1024, 'should have 1,024 bytes at most')
      .default(''),
  },
  { error: groupMistake },
)
type Entry = z.infer<typeof Entry>

const File = z.strictObject(
  { buckets: z.record(z.string(), z.unknown(), 'should be a group of buckets by their aliases') },
  { error: groupMistake },
)

/**
 * The buckets of a JSON or YAML file, in its order.
 *
 * @param path Empty: there are none.
 * @param env For the secrets, to which the file only refers.
 * @throws ConfigError naming every mistake at once.
 */
export async function loadBuckets(path: string, env: Env): Promise<readonly BucketSettings[]> {
  if (path === '') return []
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new ConfigError(`BUCKETS_FILE: ${error instanceof Error ? error.message : String(error)}`)
  }
  return parseBuckets(text, env)
}

/**
 * Names of the environment variables that the file refers to.
 *
 * @param path Absent or empty: there is no file.
 * @returns none for a file that cannot be read: `loadBuckets` says so.
 */
export async function bucketVariables(path: string | undefined): Promise<ReadonlySet<string>> {
  const text = path ? await readFile(path, 'utf8').catch(() => '') : ''
  return new Set([...text.matchAll(/\$\{?(?<name>[A-Za-z_]\w*)/g)].map(({ groups }) => groups?.['name'] ?? ''))
}

/** The same of the file's text. */
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
      mistakes.push(`${path}.bucket: is needed, because no bucket has a name as short as the alias`)
    }
    const secrets = resolveSecrets(entry.data, env)
    mistakes.push(...secrets.mistakes.map((mistake) => `${path}${mistake}`))
    return [settingsOf(alias, entry.data, secrets.values)]
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return settings
}

/** YAML 1.2, of which JSON is a part. No message repeats a value: it may be a secret. */
function parseText(text: string): unknown {
  const document = parseDocument(text, { version: '1.2', schema: 'core' })
  const mistakes = [...document.errors, ...document.warnings].map(({ code, message, linePos }) => {
    if (code !== 'TAG_RESOLVE_FAILED') return message.split(/:?\n/)[0] ?? ''
    return `A text that begins with "!" needs quotes at line ${linePos?.[0].line}`
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.map((mistake) => `BUCKETS_FILE: ${mistake}`).join('\n'))
  try {
    return document.toJS()
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    throw new ConfigError('BUCKETS_FILE: A text that begins with "*" needs quotes, unless it refers to an anchor')
  }
}

const SECRETS = ['accessKeyId', 'secretAccessKey', 'sessionToken'] as const
type Secrets = Partial<Record<(typeof SECRETS)[number], string>>

/** @returns the values, and what is wrong with the credentials as a whole; each mistake begins with `:` or `.<field>:`. */
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
    mistakes.push(': give both accessKeyId and secretAccessKey, or neither')
  }
  if (sessionToken !== undefined && accessKeyId === undefined && secretAccessKey === undefined) {
    mistakes.push(': sessionToken goes with accessKeyId and secretAccessKey')
  }
  if (entry.anonymous && SECRETS.some((name) => entry[name] !== undefined)) {
    mistakes.push(': anonymous requests have no credentials: leave out either')
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

function isPlain(text: string): boolean {
  const { username, password, search, hash } = new URL(text)
  return [username, password, search, hash].every((part) => part === '')
}

function checkSize(text: string, context: z.RefinementCtx<string>): void {
  const mistake = specMistake(text)
  if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake })
}

function groupMistake(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') return `there is no setting ${issue.keys.join(', ')}`
  return issue.code === 'invalid_type' ? 'should be a group of settings' : undefined
}

function mistakesOf(error: z.ZodError, path: string): string[] {
  return error.issues.map((issue) => `${[path, ...issue.path].join('.')}: ${issue.message}`)
}
