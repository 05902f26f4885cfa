import type { RemoteRef } from '../identity/original-ref.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import { formatSpec, parseSpec } from '../spec/spec.ts'
import { invalidPath } from '../text/invalid-path.ts'
import type { ImageRequest } from './image-path.ts'
import { parseFormat } from './picture-tail.ts'

/** What `/image?url=…` asks for: a rendition of a remote image, or what is known of it. */
export type RemoteRequest =
  | {
      readonly kind: 'picture'
      readonly request: ImageRequest & { readonly original: RemoteRef }
      readonly isCanonical: boolean
    }
  | { readonly kind: 'info'; readonly original: RemoteRef }

/**
 * Reads the query of something made of a remote image.
 *
 * ```
 * query = "url=" url [ "&size=" ( "info" | spec ) ] [ "&format=" ext ]          ; in any order; more is left alone
 * ```
 *
 * Without a size the picture is as large as it came.
 *
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseRemoteQuery(querystring: string): RemoteRequest {
  const query = new URLSearchParams(querystring)
  const url = once(query, 'url')
  if (url === undefined) {
    throw invalidPath(
      'Malformed URL of a remote image: use /image?url={url}&size={size}&format={ext}, with the value of url percent-encoded',
    )
  }
  const original = { kind: 'remote', url: parseRemoteUrl(url) } as const
  const sizeText = once(query, 'size')
  if (sizeText === 'info') return { kind: 'info', original }
  const formatText = once(query, 'format')
  const spec = parseSpec(sizeText ?? 'full')
  const format = formatText === undefined ? undefined : parseFormat(formatText)
  return {
    kind: 'picture',
    request: { original, spec, ...(format !== undefined && { format }) },
    isCanonical: (sizeText === undefined || sizeText === formatSpec(spec)) && formatText === format,
  }
}

/** The same query with this size, and the format spelled canonically. */
export function respellRemoteQuery(
  querystring: string,
  { spec, format }: Pick<ImageRequest, 'spec' | 'format'>,
): string {
  const query = new URLSearchParams(querystring)
  query.set('size', formatSpec(spec))
  if (format !== undefined) query.set('format', format)
  return query.toString()
}

/** The URL of a picture of a remote image, as our own URLs have it and as it is signed. */
export function formatRemoteUrl({ original, spec, format }: ImageRequest & { readonly original: RemoteRef }): string {
  const url = `/image?url=${encodeURIComponent(original.url)}&size=${formatSpec(spec)}`
  return format === undefined ? url : `${url}&format=${format}`
}

function once(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw invalidPath(`Parameter ${name}= is repeated: specify it once`)
  return values[0]
}
