import { isImageId } from '../identity/image-id.ts'
import type { OriginalRef } from '../identity/original-ref.ts'
import { parseSpec, type Spec } from '../spec/spec.ts'
import { invalidPath } from '../text/invalid-path.ts'
import { decodePathPart, formatPictureTail, type PictureTail, parsePictureTail } from './picture-tail.ts'

/** What the URL of a rendition asks for. */
export interface ImageRequest extends PictureTail {
  readonly original: OriginalRef
}

/** The same of an image that was uploaded here. */
export interface UploadRequest extends PictureTail {
  readonly original: Extract<OriginalRef, { kind: 'image' }>
}

/**
 * Reads the path of a rendition in any valid spelling; `formatImagePath` gives the canonical one, and they are the same
 * if and only if the path was canonical.
 *
 * ```
 * path = "/image/" id "/" spec [ "." ext | "/" name "." ext ]
 * ext  = "jpg" | "png" | "webp" | "avif" | "gif"        ; "jpeg" is another spelling of "jpg"
 * ```
 *
 * @param path The raw path of the request, percent-encoded, without the query.
 * @param readSpec See `parseSpecOrReticulumSize` for one that takes more.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseImagePath(path: string, readSpec: (text: string) => Spec = parseSpec): UploadRequest {
  const [root, route, idText = '', specText, fileText, ...rest] = path.split('/')
  if (root !== '' || route !== 'image' || specText === undefined || rest.length > 0) {
    throw invalidPath(
      'Malformed image path: use /image/{id}/400w, /image/{id}/400w.webp or /image/{id}/400w/{name}.webp',
    )
  }
  const id = decodePathPart(idText).toLowerCase()
  if (!isImageId(id)) throw invalidPath('An image id must have 40 hexadecimal digits')
  return { original: { kind: 'image', id }, ...parsePictureTail([specText, fileText], readSpec) }
}

/** The canonical path: the inverse of `parseImagePath`. */
export function formatImagePath({ original, ...tail }: UploadRequest): string {
  return `/image/${original.id}/${formatPictureTail(tail)}`
}
