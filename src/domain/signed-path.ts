import { formatImagePath, type ImageRequest } from './image-path.ts'
import { formatObjectPath } from './object-path.ts'
import { formatRemoteUrl } from './remote-query.ts'

/**
 * The path of a rendition as it is signed: canonical and without the name, which is free text and no part of the picture.
 * @example signedPath(parseImagePath('/image/3f2a…/400w/cat.webp')) // '/image/3f2a…/400w/.webp'
 */
export function signedPath({ original, spec, format }: ImageRequest): string {
  const tail = format === undefined ? { spec } : { spec, format, name: '' }
  switch (original.kind) {
    case 'image':
      return formatImagePath({ original, ...tail })
    case 'object':
      return formatObjectPath({ original, ...tail })
    case 'remote':
      return formatRemoteUrl({ original, ...tail })
  }
}
