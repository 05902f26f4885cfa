import { encode } from 'blurhash'
import { rgbaToThumbHash } from 'thumbhash'

/** Pixels with alpha, not premultiplied, row by row; at most 100 a side. */
export interface SmallPicture {
  readonly width: number
  readonly height: number
  readonly rgba: Uint8Array
}

/** Base64 of what the reference decoder takes. Keeps alpha and the shape. */
export function thumbHash({ width, height, rgba }: SmallPicture): string {
  return Buffer.from(rgbaToThumbHash(width, height, rgba)).toString('base64')
}

/** Base83, of 4x3 components, upright 3x4. It has no alpha: the picture is laid onto white, as in a JPEG. */
export function blurHash({ width, height, rgba }: SmallPicture): string {
  const [across, down] = width >= height ? [4, 3] : [3, 4]
  return encode(onWhite(rgba), width, height, across, down)
}

function onWhite(rgba: Uint8Array): Uint8ClampedArray {
  return Uint8ClampedArray.from(rgba, (value, at) => {
    const alpha = (rgba[at | 3] ?? 255) / 255
    return (at & 3) === 3 ? 255 : value * alpha + 255 * (1 - alpha)
  })
}
