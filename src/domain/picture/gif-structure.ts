/**
 * Walks over the blocks of a GIF, without looking at their pixels: decoders show a GIF that was cut as if its last frames
 * had never been. Yields the position of each byte that it wants to see, and is sent that byte, or undefined beyond the end.
 *
 * @returns true if the file goes on to its trailer, or at least to the end of a block, as files without a trailer are seen.
 * @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
export function* walkGif(): Generator<number, boolean, number | undefined> {
  const screen = yield SCREEN_FLAGS_AT
  if (screen === undefined) return false
  let at = HEADER_BYTES + paletteBytes(screen)
  for (let frames = 0; ; ) {
    const kind = yield at
    if (kind !== EXTENSION && kind !== IMAGE) return frames > 0
    if (kind === IMAGE) {
      const flags = yield at + IMAGE_FLAGS_AT
      if (flags === undefined) return false
      at += IMAGE_BYTES + paletteBytes(flags)
      frames += 1
    } else {
      at += EXTENSION_BYTES
    }
    // Then come parts of up to 255 bytes, each with its length before it, up to one of no length.
    for (let length: number | undefined; length !== 0; at += length + 1) {
      length = yield at
      if (length === undefined) return false
    }
  }
}

const SCREEN_FLAGS_AT = 10
const HEADER_BYTES = 13
const EXTENSION = 0x21
/** The mark of an extension and its label. */
const EXTENSION_BYTES = 2
const IMAGE = 0x2c
const IMAGE_FLAGS_AT = 9
/** The description of an image, and the size of its codes. */
const IMAGE_BYTES = 11

function paletteBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 << ((flags & 0x07) + 1)
}
