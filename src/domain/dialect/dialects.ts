import { SettingError } from '../../errors.ts'
import type { ObjectRef, OriginalRef } from '../identity/image-id.ts'
import { isImageId } from '../identity/image-id.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import { invalidPath } from '../text/path-text.ts'
import type { DialectRequest } from './dialect.ts'
import { type ImgproxySettings, parseImgproxyPath } from './imgproxy-path.ts'
import { parseIpxPath } from './ipx-path.ts'
import { parseThumborPath, type ThumborSettings } from './thumbor-path.ts'

/** Settings for the URLs of other services. */
export interface DialectSettings {
  readonly mounts: readonly DialectMount[]
  /** Without keys only `unsafe` URLs are served. */
  readonly thumbor: Omit<ThumborSettings, 'unsafe'>
  readonly imgproxy: ImgproxySettings
  /** Prefix of relative sources; empty: they are not supported. */
  readonly bases: Readonly<Record<DialectName, string>>
  /** Format for URLs without one: that of the original, or negotiated. */
  readonly formatless: 'source' | 'negotiated'
}

/** A parsed URL of another service. */
export interface ReadDialect extends Omit<DialectRequest, 'source'> {
  readonly original: OriginalRef
  /** Whether it has a valid signature of that service. */
  readonly isSigned: boolean
}

/**
 * @param host As sent by the client.
 * @param url Path and query, as sent.
 * @returns undefined if it belongs to no mounted service.
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

/** Sources that are URLs, the same in every grammar. */
export function remoteRef(url: string) {
  return { kind: 'remote', url: parseRemoteUrl(url) } as const
}

const DIALECTS = ['thumbor', 'imgproxy', 'ipx'] as const
export type DialectName = (typeof DIALECTS)[number]

/** The place at which URLs of another service are served. */
export interface DialectMount {
  readonly name: DialectName
  /** Without a trailing slash; empty: the whole of `host`. */
  readonly prefix: string
  /** Lower case, without a port; absent: any. */
  readonly host?: string
}

/** Prefixes of native URLs. */
const TAKEN = new Set(['', 'image', 'images', 's3', 'v1', 'events', 'healthz', 'readyz', 'metrics', 'openapi.json'])

/**
 * Reads `thumbor=/thumbor` or `thumbor=thumbs.example.com`: a path prefix, or a host, for all URLs of that service.
 * imagor uses the URLs of thumbor.
 *
 * @throws SettingError
 */
export function parseDialectMount(text: string): DialectMount {
  const { nameText = '', at = '' } = /^(?<nameText>[^=]*)=(?<at>.*)$/.exec(text)?.groups ?? {}
  const name = DIALECTS.find((known) => known === (nameText === 'imagor' ? 'thumbor' : nameText))
  if (name === undefined)
    throw new SettingError(`"${text}" should start with thumbor=, imagor=, imgproxy= or ipx=, as in thumbor=/thumbor`)
  if (/^(?:\/[\w.-]+)+$/.test(at) && !TAKEN.has(at.split('/')[1] ?? '')) return { name, prefix: at }
  if (/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(at)) return { name, prefix: '', host: at }
  throw new SettingError(
    `"${text}" should be a path such as /${name}, without a trailing slash, or a host name such as ${name}.example.com`,
  )
}

/**
 * The part of a URL that belongs to the other service.
 * @param host As sent by the client.
 * @param url Path and query, as sent.
 * @returns undefined if the URL is not below this mount.
 */
export function mountedTarget({ prefix, host }: DialectMount, asked: string, url: string): string | undefined {
  if (host !== undefined && asked.toLowerCase().replace(/:\d+$/, '') !== host) return undefined
  return url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined
}

/**
 * Resolves the source in a URL of another service to an original.
 *
 * ```
 * source = "s3://" alias "/" key [ "?" [ "versionId=" ] version ]  | "http://…" | "https://…"
 *        | [ "image/" ] 40 hexadecimal digits                      | what follows the base
 * ```
 *
 * @param source Decoded: see `DialectRequest`.
 * @param base Prefix of relative sources: `s3://alias/prefix/`, `https://host/path/`, `image/`, or `https://` for
 *   sources that begin with a host name. Empty: relative sources are refused.
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
  // A URL parser would resolve such a segment, and leave the folder of the base.
  if (/(?:^|[\\/])(?:\.|%2e){1,2}(?:[\\/?#]|$)/i.test(relative))
    throw invalidPath('An image name must not contain "." or ".." segments')
  if (/^https?:\/\/$/i.test(base) && !/^[^\\/?#@]+[/?]/.test(relative)) {
    throw invalidPath(`"${source}" should start with a host name`)
  }
  const found = relative === '' ? undefined : namedOriginal(`${base}${relative}`)
  if (found === undefined) throw invalidPath(`"${source}" is not a valid image source`)
  return found
}

/** @returns undefined for a relative source. */
function namedOriginal(source: string): OriginalRef | undefined {
  const id = source.replace(/^\/?image\//, '').toLowerCase()
  if (isImageId(id)) return { kind: 'image', id }
  // Proxies merge slashes.
  const { scheme, rest } = /^(?<scheme>[a-z][a-z0-9+.-]*):\/{1,2}(?<rest>.*)$/is.exec(source)?.groups ?? {}
  if (scheme === undefined || rest === undefined) return undefined
  switch (scheme.toLowerCase()) {
    case 's3':
      return parseObject(rest)
    case 'http':
    case 'https':
      if (!/^[^/\\?]/.test(rest)) throw invalidPath(`"${source}" has no host name`)
      // In a decoded name both characters are part of the name; a URL parser would end the path there, or trim a
      // trailing space.
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
