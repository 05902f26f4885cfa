import { z } from 'zod'
import { isEveryHost } from '../domain/network/remote-hosts.ts'
import { editDistance } from '../domain/text/edit-distance.ts'
import { CLUSTER } from './cluster.ts'
import { ACCESS, DIALECTS, LIMITS, LOGGING, RENDERING, SERVER } from './requests.ts'
import { stepsTogether } from './size-policy.ts'
import { SIZES } from './sizes.ts'
import { CACHE, ELSEWHERE, EVENTS, OBJECT_STORE } from './sources.ts'

/** All settings, validated. The name of a setting states its unit. */
export type Config = Readonly<z.infer<typeof Env>>

/** Invalid settings. The message has one mistake per line. */
export class ConfigError extends Error {}

/**
 * @param used Names of other variables that Darkroom reads; see `bucketVariables`.
 * @throws ConfigError with all mistakes.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  used: ReadonlySet<string> = new Set(),
): Config {
  // A blank variable counts as unset: unit files and compose files leave a setting out that way.
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  )
  const parsed = Env.safeParse(given)
  const mistakes = (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
  mistakes.push(...misspelledNames(Object.keys(given), Object.keys(Env.shape), used))
  mistakes.push(...settingsWithoutMode(given), ...contradictions(given))
  if (parsed.success)
    mistakes.push(...limitsTogether(parsed.data), ...boundsTogether(parsed.data), ...stepsTogether(parsed.data))
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return Object.freeze(parsed.data)
}

/** Settings that exclude or require each other. It reads the unparsed texts, so it works beside invalid settings. */
function contradictions(given: Readonly<Record<string, string | undefined>>): string[] {
  const mistakes: string[] = []
  if (given['SIZE_POLICY'] === 'list' && given['SIZES'] === undefined)
    mistakes.push('SIZES: is required with SIZE_POLICY=list, such as SIZES="400w 800w"')
  if (given['SIZE_POLICY'] === 'signed' && given['URL_KEYS'] === undefined) {
    mistakes.push('URL_KEYS: is required with SIZE_POLICY=signed; `openssl rand -hex 32` generates a key')
  }
  if (given['SIZE_POLICY'] !== 'signed' && (given['REMOTE_HOSTS'] ?? '').split(/\s+/).some(isEveryHost)) {
    mistakes.push(
      'REMOTE_HOSTS: "*" requires SIZE_POLICY=signed: without signatures, any client could make this node fetch, store and serve any image of the internet',
    )
  }
  if ((given['STORE_REPLICAS'] ?? '').split(/\s+/).filter((word) => word === 'primary').length > 1)
    mistakes.push('STORE_REPLICAS: primary should be listed once')
  for (const name of unsignedDialects(given)) {
    mistakes.push(
      `DIALECTS: ${name} serves unsigned URLs here, which SIZE_POLICY=signed excludes; set THUMBOR_KEYS or IMGPROXY_KEYS, or remove ${name}`,
    )
  }
  if ((given['AWS_ACCESS_KEY_ID'] === undefined) !== (given['AWS_SECRET_ACCESS_KEY'] === undefined)) {
    mistakes.push('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: should be set together, or neither of them')
  }
  return mistakes
}

/** @returns the mistakes. */
function boundsTogether({ REMOTE_NEW_PER_MINUTE: inAll, REMOTE_NEW_PER_CLIENT: perClient = 0 }: Config): string[] {
  if (perClient <= inAll) return []
  return [`REMOTE_NEW_PER_CLIENT: should be at most ${inAll}, the value of REMOTE_NEW_PER_MINUTE`]
}

/**
 * The timeout of a request has to exceed those of its steps, whose errors explain the failure. No request waits for a renderer so
 * long that no time is left to render, so the fetch and the wait need not fit in together.
 */
function limitsTogether(config: Config): string[] {
  const isRemote = config.REMOTE_HOSTS.length > 0 && config.REMOTE_TIMEOUT_SECONDS > config.STORE_TIMEOUT_SECONDS
  const fetching = isRemote ? 'REMOTE_TIMEOUT_SECONDS' : 'STORE_TIMEOUT_SECONDS'
  const longest = config[fetching] > config.RENDER_WAIT_MAX_SECONDS ? fetching : 'RENDER_WAIT_MAX_SECONDS'
  const seconds = config[longest] + config.RENDER_TIMEOUT_SECONDS
  if (seconds < config.REQUEST_TIMEOUT_SECONDS) return []
  return [
    `REQUEST_TIMEOUT_SECONDS: should be more than ${seconds}, the sum of ${longest} and RENDER_TIMEOUT_SECONDS, so that these timeouts expire first`,
  ]
}

/** Shorter names are similar to too many others: PORT, HOST, STORE. */
const LEAST_LENGTH = 8
const MOST_EDITS = 2
/** Similar names of other programs: the caches of two compilers, and `THUMBOR_NAME` of a linked Docker container. */
const FOREIGN = /^S?CCACHE_DIR$|_NAME$/

/**
 * Variables with nearly the name of a setting: a misspelled setting would silently keep its default.
 *
 * @param given Names of the variables that are set.
 * @param known Names of all settings.
 * @param used Names of other variables that Darkroom reads, such as those in the buckets file.
 * @returns the mistakes, each with the given name and the nearest setting.
 */
export function misspelledNames(
  given: readonly string[],
  known: readonly string[],
  used: ReadonlySet<string>,
): readonly string[] {
  const long = known.filter((name) => name.length >= LEAST_LENGTH)
  const strange = given.filter((name) => !known.includes(name) && !used.has(name) && !FOREIGN.test(name))
  return strange.flatMap((name) => {
    const meant = nearest(name, long)
    if (meant === undefined) return []
    return [`${name}: unknown setting. Did you mean ${meant}? If another program uses it, unset it for Darkroom`]
  })
}

function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .filter(({ length }) => Math.abs(length - name.length) <= MOST_EDITS)
    .map((other) => ({ other, edits: editDistance(name, other) }))
    .filter(({ edits }) => edits <= MOST_EDITS)
  return near.toSorted((one, another) => one.edits - another.edits)[0]?.other
}

type Given = Readonly<Record<string, string | undefined>>

interface Mode {
  /** They have no effect in any other mode. */
  readonly settings: readonly string[]
  readonly needs: string
  readonly isOn: (given: Given) => boolean
}

const hasDialect =
  (...names: readonly string[]) =>
  ({ DIALECTS: mounts = '' }: Given): boolean =>
    names.some((name) => new RegExp(`(?:^|\\s)${name}=`).test(mounts))

const MODES: readonly Mode[] = [
  {
    settings: ['SINK_ALLOW_ADDRESSES'],
    needs: 'SINKS_FILE',
    isOn: ({ SINKS_FILE: path }) => path !== undefined,
  },
  {
    settings: ['SIZES', 'SIZES_FALLBACK'],
    needs: 'SIZE_POLICY=list or steps',
    isOn: ({ SIZE_POLICY = 'open' }) => SIZE_POLICY !== 'open' && SIZE_POLICY !== 'signed',
  },
  {
    settings: ['SIZE_STEPS'],
    needs: 'SIZE_POLICY=steps',
    isOn: ({ SIZE_POLICY = 'open' }) => !['open', 'list', 'signed'].includes(SIZE_POLICY),
  },
  {
    settings: ['URL_KEYS'],
    needs: 'SIZE_POLICY=signed',
    isOn: ({ SIZE_POLICY = 'open' }) => !['open', 'list', 'steps'].includes(SIZE_POLICY),
  },
  {
    settings: ['S3_ENDPOINT', 'S3_REGION', 'S3_FORCE_PATH_STYLE', 'STORE_REPLICAS'],
    needs: 'STORE=s3://<bucket>',
    isOn: ({ STORE = 'file:' }) => !STORE.startsWith('file:'),
  },
  {
    settings: ['THUMBOR_KEYS', 'THUMBOR_HASH', 'THUMBOR_SIGNATURE_LENGTH', 'THUMBOR_BASE'],
    needs: 'thumbor or imagor in DIALECTS, such as DIALECTS=thumbor=/thumbor',
    isOn: hasDialect('thumbor', 'imagor'),
  },
  {
    settings: ['IMGPROXY_KEYS', 'IMGPROXY_SIGNATURE_BYTES', 'IMGPROXY_BASE'],
    needs: 'imgproxy in DIALECTS, such as DIALECTS=imgproxy=/imgproxy',
    isOn: hasDialect('imgproxy'),
  },
  { settings: ['IPX_BASE'], needs: 'ipx in DIALECTS, such as DIALECTS=ipx=/ipx', isOn: hasDialect('ipx') },
  {
    settings: ['DIALECT_FORMAT'],
    needs: 'DIALECTS, such as DIALECTS=thumbor=/thumbor',
    isOn: ({ DIALECTS: mounts }) => mounts !== undefined,
  },
]

/**
 * Settings of a mode that is off: the operator expects an effect that they do not have. An invalid mode counts as on,
 * since its own mistake is reported. The AWS_ variables are exempt: other programs on the machine use them too.
 *
 * @returns the mistakes.
 */
export function settingsWithoutMode(given: Given): readonly string[] {
  return MODES.filter(({ isOn }) => !isOn(given)).flatMap(({ settings, needs }) =>
    settings
      .filter((name) => given[name] !== undefined)
      .map((name) => `${name}: has no effect without ${needs}; set that, or unset ${name}`),
  )
}

/** Mounted dialects without signatures, which SIZE_POLICY=signed excludes. @param given Variables that are not blank. */
function unsignedDialects(given: Readonly<Record<string, string | undefined>>): string[] {
  if (given['SIZE_POLICY'] !== 'signed') return []
  const isSigned = { thumbor: given['THUMBOR_KEYS'], imagor: given['THUMBOR_KEYS'], imgproxy: given['IMGPROXY_KEYS'] }
  const names = (given['DIALECTS'] ?? '').split(/\s+/).map((word) => word.replace(/=.*/, ''))
  return names.filter(
    (name) =>
      name === 'ipx' || (name in isSigned && !Object.entries(isSigned).some(([known, keys]) => known === name && keys)),
  )
}

/** The settings under the headings of `--help` and docs/settings.md, in their order. */
export const SETTING_GROUPS = {
  'Object store': OBJECT_STORE,
  'Buckets and remote images': ELSEWHERE,
  Events: EVENTS,
  Cache: CACHE,
  'Server and proxy': SERVER,
  Cluster: CLUSTER,
  Access: ACCESS,
  'URLs and sizes': SIZES,
  'URLs of other services': DIALECTS,
  Rendering: RENDERING,
  'Limits and timeouts': LIMITS,
  Logging: LOGGING,
} as const

/** The schema of the environment. */
export const Env = z.object({
  ...OBJECT_STORE,
  ...ELSEWHERE,
  ...EVENTS,
  ...CACHE,
  ...SERVER,
  ...CLUSTER,
  ...ACCESS,
  ...SIZES,
  ...DIALECTS,
  ...RENDERING,
  ...LIMITS,
  ...LOGGING,
})
