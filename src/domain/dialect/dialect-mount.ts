import { SettingError } from '../text/setting-error.ts'

const DIALECTS = ['thumbor', 'imgproxy', 'ipx'] as const
export type DialectName = (typeof DIALECTS)[number]

/** Where the URLs of another service are served. */
export interface DialectMount {
  readonly name: DialectName
  /** Without the slash at its end; empty: the whole of `host`. */
  readonly prefix: string
  /** Lower case, without a port; absent: any. */
  readonly host?: string
}

/** What our own URLs begin with. */
const TAKEN = new Set(['', 'image', 'images', 's3', 'v1', 'events', 'healthz', 'readyz', 'metrics'])

/**
 * Reads `thumbor=/thumbor` or `thumbor=thumbs.example.com`: a path below which, or a host on which all URLs are that service's.
 * imagor's are thumbor's.
 *
 * @throws SettingError
 */
export function parseDialectMount(text: string): DialectMount {
  const { nameText = '', at = '' } = /^(?<nameText>[^=]*)=(?<at>.*)$/.exec(text)?.groups ?? {}
  const name = DIALECTS.find((known) => known === (nameText === 'imagor' ? 'thumbor' : nameText))
  if (name === undefined) throw new SettingError(`"${text}" should start with thumbor=, imagor=, imgproxy= or ipx=`)
  if (/^(?:\/[\w.-]+)+$/.test(at) && !TAKEN.has(at.split('/')[1] ?? '')) return { name, prefix: at }
  if (/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(at)) return { name, prefix: '', host: at }
  throw new SettingError(
    `"${text}" should be a path such as /${name}, without a trailing slash, or a host name such as ${name}.example.com`,
  )
}

/**
 * What of a URL is the other service's.
 * @param host As the client sent it.
 * @param url Path and query, as they came.
 * @returns undefined if it is not for this mount.
 */
export function mountedTarget({ prefix, host }: DialectMount, asked: string, url: string): string | undefined {
  if (host !== undefined && asked.toLowerCase().replace(/:\d+$/, '') !== host) return undefined
  return url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined
}
