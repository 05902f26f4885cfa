import type { z } from 'zod'
import { isEveryHost } from '../domain/network/remote-hosts.ts'
import { Env } from './groups.ts'
import { settingsWithoutMode, unsignedDialects } from './modes.ts'
import { misspelledNames } from './names.ts'

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
  if (parsed.success) mistakes.push(...limitsTogether(parsed.data), ...boundsTogether(parsed.data))
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
