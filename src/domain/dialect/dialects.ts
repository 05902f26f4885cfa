import { SettingError } from '../../errors.ts'
import type { ObjectRef, OriginalRef } from '../identity/image-id.ts'
import { isImageId } from '../identity/image-id.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import { invalidPath } from '../text/path-text.ts'
import type { DialectRequest } from './dialect.ts'
import { type ImgproxySettings, parseImgproxyPath } from './imgproxy-path.ts'
import { parseIpxPath } from './ipx-path.ts'
import { parseThumborPath, type ThumborSettings } from './thumbor-path.ts'

/** Which URLs of other services are served, and how they are read. */
export interface DialectSettings {
  readonly mounts: readonly DialectMount[]
  /** `unsafe` is what there are no keys for. */
  readonly thumbor: Omit<ThumborSettings, 'unsafe'>
  readonly imgproxy: ImgproxySettings
  /** What comes before a source that names no place of its own; empty: there are no such. */
  readonly bases: Readonly<Record<DialectName, string>>
  /** What a URL gets that names no format: the original's own, or what the client reads best. */
  readonly formatless: 'source' | 'negotiated'
}

/** A URL of another service, read. */
export interface ReadDialect extends Omit<DialectRequest, 'source'> {
  readonly original: OriginalRef
  /** It was signed in that service's way. */
  readonly isSigned: boolean
}

/**
 * @param host As the client sent it.
 * @param url Path and query, as they came.
 * @returns undefined if it is not in the grammar of any service that is mounted.
 * @throws RequestError `invalid_path`, `signature_invalid`
 */
export function readDialect(host: string, url: string, settings: DialectSettings): ReadDialect | undefined {
  for (const mount of settings.mounts) {
    const target = mountedTarget(mount, host, url)
    if (target === undefined) continue
    const { source, format, ...request } = parse(mount.name, target, settings)
    const base = settings.bases[mount.name]
    const original = resolveSource(source, base)
    const isSigned = mount.name !== 'ipx' && settings[mount.name].keys.length > 0
    return { ...request, original, isSigned, format: format === 'source' ? settings.formatless : format }
  }
  return undefined
}

function parse(name: DialectName, target: string, { thumbor, imgproxy }: DialectSettings): DialectRequest {
  switch (name) {
    case 'thumbor':
      return parseThumborPath(target, { ...thumbor, unsafe: thumbor.keys.length === 0 })
    case 'imgproxy':
      return parseImgproxyPath(target, imgproxy)
    case 'ipx':
      return parseIpxPath(target)
  }
}

/** What a source that is a URL means, in every grammar alike. */
export function remoteRef(url: string) {
  return { kind: 'remote', url: parseRemoteUrl(url) } as const
}

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
const TAKEN = new Set(['', 'image', 'images', 's3', 'v1', 'events', 'healthz', 'readyz', 'metrics', 'openapi.json'])

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

/**
 * Which original the source of another service's URL is.
 *
 * ```
 * source = "s3://" alias "/" key [ "?" [ "versionId=" ] version ]  | "http://…" | "https://…"
 *        | [ "image/" ] 40 hexadecimal digits                      | what follows the base
 * ```
 *
 * @param source Decoded: see `DialectRequest`.
 * @param base What comes before a source that names no place of its own: `s3://alias/prefix/`, `https://host/path/`, `image/`, or
 *   `https://` for sources that begin with the name of a host. Empty: such sources are refused.
 * @throws RequestError `invalid_path` with the reason.
 */
export function resolveSource(source: string, base: string): OriginalRef {
  if (/\p{Cc}/u.test(source)) throw invalidPath('An image name must not contain control characters')
  const direct = namedOriginal(source)
  if (direct !== undefined) return direct
  if (base === '') {
    throw invalidPath(`"${source}" is not an absolute source: start with https://, s3://, or image/ and an image id`)
  }
  const relative = source.replace(/^\/+/, '')
  // A URL's parser would take such a segment for a step up, out of the folder that the base is there to name.
  if (/(?:^|[\\/])(?:\.|%2e){1,2}(?:[\\/?#]|$)/i.test(relative))
    throw invalidPath('An image name must not contain "." or ".." segments')
  if (/^https?:\/\/$/i.test(base) && !/^[^\\/?#@]+[/?]/.test(relative)) {
    throw invalidPath(`"${source}" should start with a host name`)
  }
  const found = relative === '' ? undefined : namedOriginal(`${base}${relative}`)
  if (found === undefined) throw invalidPath(`"${source}" is not a valid image source`)
  return found
}

/** @returns undefined for what names no place of its own. */
function namedOriginal(source: string): OriginalRef | undefined {
  const id = source.replace(/^\/?image\//, '').toLowerCase()
  if (isImageId(id)) return { kind: 'image', id }
  // Proxies make one slash of two.
  const { scheme, rest } = /^(?<scheme>[a-z][a-z0-9+.-]*):\/{1,2}(?<rest>.*)$/is.exec(source)?.groups ?? {}
  if (scheme === undefined || rest === undefined) return undefined
  switch (scheme.toLowerCase()) {
    case 's3':
      return parseObject(rest)
    case 'http':
    case 'https':
      if (!/^[^/\\?]/.test(rest)) throw invalidPath(`"${source}" has no host name`)
      // In a decoded name both are part of the name; a URL's parser would end it there, or cut a space off its end.
      return remoteRef(`${scheme.toLowerCase()}://${rest.replaceAll('#', '%23').replaceAll(' ', '%20')}`)
    default:
      throw invalidPath(`"${scheme}://" is not a supported scheme: use https://, http:// or s3://`)
  }
}

function parseObject(text: string): ObjectRef {
  const { bucket, key, version } = /^(?<bucket>[^/?]+)\/(?<key>[^?]+)(?:\?(?<version>.*))?$/s.exec(text)?.groups ?? {}
  if (bucket === undefined || key === undefined) throw invalidPath(`"s3://${text}" should be s3://bucket/key`)
  if (Buffer.byteLength(key) > 1024) throw invalidPath('An object key must have at most 1,024 bytes')
  const versionId = version?.replace(/^versionId=/, '') ?? ''
  return { kind: 'object', bucket, key, ...(versionId !== '' && { versionId }) }
}
