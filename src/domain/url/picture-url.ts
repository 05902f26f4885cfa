import { invalidPath } from '../text/invalid-path.ts'
import { formatImagePath, type ImageRequest, parseImagePath } from './image-path.ts'
import { formatObjectPath, parseObjectPath } from './object-path.ts'
import { formatRemoteUrl, parseRemoteQuery } from './remote-query.ts'

/**
 * Reads a URL of a picture, of whatever kind its original is; without scheme and host.
 * @example parsePictureUrl('/s3/photos/cat.jpg/-/400w')
 * @throws RequestError `invalid_path` with the reason.
 */
export function parsePictureUrl(url: string): ImageRequest {
  const [path = '', ...queries] = url.split('?')
  const query = queries.join('?')
  const isRemote = path === '/image'
  if (!isRemote && !path.startsWith('/s3/')) return parseImagePath(path)
  const versionId = new URLSearchParams(query).get('versionId') ?? undefined
  const parsed = isRemote ? parseRemoteQuery(query) : parseObjectPath(path, versionId)
  if (parsed.kind === 'picture') return parsed.request
  throw invalidPath('"info" is not a size')
}

/** The canonical URL of a picture, without scheme and host. */
export function formatPictureUrl({ original, ...tail }: ImageRequest): string {
  switch (original.kind) {
    case 'image':
      return formatImagePath({ original, ...tail })
    case 'object':
      return formatObjectPath({ original, ...tail })
    case 'remote':
      return formatRemoteUrl({ original, ...tail })
  }
}

/**
 * The URL as it is signed: canonical and without the name, which is free text and no part of the picture. So `400w.webp` is
 * signed like `400w/cat.webp`.
 * @example signedPath(parsePictureUrl('/image/3f2a…/400w/cat.webp')) // '/image/3f2a…/400w/.webp'
 */
export function signedPath({ original, spec, format }: ImageRequest): string {
  return formatPictureUrl({ original, spec, ...(format !== undefined && { format, name: '' }) })
}
