import type { InputFormat } from '../spec/image-format.ts'

/** Width and height in whole pixels, at least 1 each. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** What the header of an original says of it. */
export interface OriginalFacts {
  readonly format: InputFormat
  /** As stored, before the EXIF orientation; of one frame. Pixels. */
  readonly stored: Size
  /** EXIF orientation, 1-8. */
  readonly orientation: number
  readonly alpha: boolean
  /** 16 bits for each of red, green and blue, and a profile of their own. Absent if not. */
  readonly deepProfile?: true
  /** Memory that decoding it takes, if it does not come line by line. See `render-memory.ts`. */
  readonly decodingBytes?: number
  /** 1 for a still picture. */
  readonly frames: number
}

/** Width and height as displayed: after the EXIF orientation, which from 5 on turns the picture on its side. */
export function displayedSize({ stored, orientation }: Pick<OriginalFacts, 'stored' | 'orientation'>): Size {
  return orientation >= 5 ? { width: stored.height, height: stored.width } : stored
}
