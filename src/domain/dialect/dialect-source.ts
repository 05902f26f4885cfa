import { isImageId } from '../identity/image-id.ts'
import type { ObjectRef, OriginalRef, RemoteRef } from '../identity/original-ref.ts'
import { invalidPath } from '../text/invalid-path.ts'

export interface SourceSettings {
  /**
   * What comes before a source that names no place of its own: `s3://alias/prefix/`, `https://host/path/`, `image/`, or
   * `https://` for sources that begin with the name of a host. Absent: such sources are refused.
   */
  readonly base?: string
  /** Reads an absolute URL, http or https. @throws RequestError for one that is none. */
  parseRemoteUrl(url: string): RemoteRef
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
 * @throws RequestError `invalid_path` with the reason; what `parseRemoteUrl` throws.
 */
export function resolveSource(source: string, settings: SourceSettings): OriginalRef {
  if (/\p{Cc}/u.test(source)) throw invalidPath('An image name must not contain control characters')
  const direct = namedOriginal(source, settings)
  if (direct !== undefined) return direct
  const { base } = settings
  if (base === undefined) {
    throw invalidPath(`"${source}" is not an absolute source: start with https://, s3://, or image/ and an image id`)
  }
  const relative = source.replace(/^\/+/, '')
  // A URL's parser would take such a segment for a step up, out of the folder that the base is there to name.
  if (/(?:^|[\\/])(?:\.|%2e){1,2}(?:[\\/?#]|$)/i.test(relative))
    throw invalidPath('An image name must not contain "." or ".." segments')
  if (/^https?:\/\/$/i.test(base) && !/^[^\\/?#@]+[/?]/.test(relative)) {
    throw invalidPath(`"${source}" should start with a host name`)
  }
  const found = relative === '' ? undefined : namedOriginal(`${base}${relative}`, settings)
  if (found === undefined) throw invalidPath(`"${source}" is not a valid image source`)
  return found
}

/** @returns undefined for what names no place of its own. */
function namedOriginal(source: string, { parseRemoteUrl }: SourceSettings): OriginalRef | undefined {
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
      return parseRemoteUrl(`${scheme.toLowerCase()}://${rest.replaceAll('#', '%23').replaceAll(' ', '%20')}`)
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
