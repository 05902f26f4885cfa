import { OriginalError } from '../../errors.ts'
import { paletteBytes } from './file-structure.ts'

/** Finds out, chunk by chunk, whether the container of an image ends. */
export interface ContainerEnd {
  /** The next bytes of the file. */
  push(chunk: Buffer): void
  /** What is missing after the last chunk, such as "the IEND chunk of the PNG"; undefined if the container ends. */
  missing(): string | undefined
}

/**
 * Decoders accept a file whose last bytes are missing: a PNG that is cut in its last twelve bytes, a GIF without its
 * trailer. This walk over the structure finds the end that each container has: EOI of JPEG, IEND of PNG, the trailer of
 * GIF, the length of RIFF, the boxes of AVIF and HEIF. TIFF and SVG have none, but do not decode if they are cut.
 * Bytes after the end are ignored, as many cameras write some.
 *
 * @see https://www.w3.org/TR/png-3/#5DataRep, https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
export function createContainerEnd(): ContainerEnd {
  const walk = walkFile()
  let step = walk.next()
  let taken = Buffer.alloc(0)
  let skip = 0
  let isAfterFf = false

  /** @returns the position after the bytes that the current step needs. */
  function consume(chunk: Buffer, from: number): number {
    if (skip > 0) {
      const skipped = Math.min(skip, chunk.length - from)
      skip -= skipped
      return from + skipped
    }
    const need = step.done ? END : step.value
    if (need.kind === 'marker') return findMarker(chunk, from)
    const end = Math.min(chunk.length, from + need.bytes - taken.length)
    taken = Buffer.concat([taken, chunk.subarray(from, end)])
    if (taken.length === need.bytes) advance(taken)
    return end
  }

  function findMarker(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const code = chunk[at] ?? 0
      if (isAfterFf && isMarker(code)) {
        isAfterFf = false
        advance(Buffer.of(code))
        return at + 1
      }
      isAfterFf = code === 0xff
      if (isAfterFf) continue
      const next = chunk.indexOf(0xff, at + 1)
      if (next < 0) break
      at = next - 1
    }
    return chunk.length
  }

  function advance(bytes: Buffer): void {
    taken = Buffer.alloc(0)
    step = walk.next(bytes)
    if (!step.done) skip = step.value.skip ?? 0
  }

  return {
    push(chunk) {
      for (let at = 0; at < chunk.length && !step.done; ) at = consume(chunk, at)
    },
    missing() {
      if (step.done) return step.value
      const isBetween = step.value.mayEnd === true && skip === 0 && taken.length === 0
      return isBetween || step.value.missing === '' ? undefined : step.value.missing
    },
  }
}

/** What a walk needs next. */
interface Need {
  /** `bytes`: that many; `marker`: the code of the next marker of a JPEG. */
  readonly kind: 'bytes' | 'marker'
  readonly bytes: number
  /** Bytes to leave out before. */
  readonly skip?: number
  /** Whether the file may end here. */
  readonly mayEnd?: boolean
  /** What is missing if the file ends before these bytes; empty: nothing that is known. */
  readonly missing: string
}

/** Receives what it needs. @returns what is missing; undefined if nothing is. */
type Walk = Generator<Need, string | undefined, Buffer>

const END: Need = { kind: 'bytes', bytes: 0, missing: '' }

/** Without the zero after a byte FF of picture data, fill bytes and restart markers. */
function isMarker(code: number): boolean {
  return code !== 0x00 && code !== 0xff && !(code >= 0xd0 && code <= 0xd7)
}

function* walkFile(): Walk {
  const head = yield { kind: 'bytes', bytes: 4, missing: '' }
  const start = head.toString('latin1')
  if (start.startsWith('\xff\xd8\xff')) return yield* walkJpeg(head[3] ?? 0)
  if (start === '\x89PNG') return yield* walkPng()
  if (start === 'GIF8') return yield* walkGifFile()
  if (start === 'RIFF') return yield* walkRiff()
  return yield* walkBoxes(head.readUInt32BE(0))
}

const EOI = 0xd9
/** TEM and SOI have no length either. */
const WITHOUT_LENGTH: readonly number[] = [0x01, 0xd8]

function* walkJpeg(first: number): Walk {
  const missing = 'the end of the JPEG (EOI)'
  for (let code = first; code !== EOI; ) {
    let skip = 0
    if (isMarker(code) && !WITHOUT_LENGTH.includes(code)) {
      const length = yield { kind: 'bytes', bytes: 2, missing }
      skip = Math.max(0, length.readUInt16BE(0) - 2)
    }
    const marker: Buffer = yield { kind: 'marker', bytes: 1, skip, missing }
    code = marker[0] ?? 0
  }
  return undefined
}

function* walkPng(): Walk {
  const missing = 'the end of the PNG (IEND)'
  /** The rest of the signature. */
  let skip = 4
  for (;;) {
    const chunk: Buffer = yield { kind: 'bytes', bytes: 8, skip, missing }
    const isEnd = chunk.toString('latin1', 4) === 'IEND'
    /** The content, and a checksum. */
    skip = chunk.readUInt32BE(0) + 4
    if (!isEnd) continue
    yield { kind: 'bytes', bytes: 1, skip: skip - 1, missing }
    return undefined
  }
}

const TRAILER = 0x3b
const EXTENSION = 0x21
const IMAGE = 0x2c

function* walkGifFile(): Walk {
  const missing = 'the end of the GIF (trailer)'
  /** The rest of version and logical screen: its flags are the seventh byte. */
  const screen = yield { kind: 'bytes', bytes: 9, missing }
  let skip = paletteBytes(screen[6] ?? 0)
  for (;;) {
    const block: Buffer = yield { kind: 'bytes', bytes: 1, skip, missing }
    if (block[0] === TRAILER) return undefined
    if (block[0] !== IMAGE && block[0] !== EXTENSION) return missing
    // An image has its description, a palette and the code size before its data, an extension a label.
    const header: Buffer = yield { kind: 'bytes', bytes: block[0] === IMAGE ? 9 : 1, missing }
    skip = block[0] === IMAGE ? paletteBytes(header[8] ?? 0) + 1 : 0
    for (let length = -1; length !== 0; skip = length) {
      const size: Buffer = yield { kind: 'bytes', bytes: 1, skip, missing }
      length = size[0] ?? 0
    }
  }
}

function* walkRiff(): Walk {
  const missing = 'the end of the WebP (RIFF length)'
  const length = yield { kind: 'bytes', bytes: 4, missing }
  const bytes = length.readUInt32LE(0)
  if (bytes === 0) return missing
  yield { kind: 'bytes', bytes: 1, skip: bytes - 1, missing }
  return undefined
}

const BOX_HEADER = 8
const LONG_BOX_HEADER = 16

/** ISO base media: boxes up to the end of the file. Of other formats the end is not known. */
function* walkBoxes(firstBytes: number): Walk {
  const missing = 'the end of the last box of the AVIF or HEIF'
  const type = yield { kind: 'bytes', bytes: 4, missing: '' }
  if (type.toString('latin1') !== 'ftyp') return undefined
  for (let bytes = firstBytes; ; ) {
    // Up to the end of the file.
    if (bytes === 0) return undefined
    let rest = bytes - BOX_HEADER
    if (bytes === 1) {
      const long: Buffer = yield { kind: 'bytes', bytes: 8, missing }
      rest = Number(long.readBigUInt64BE(0)) - LONG_BOX_HEADER
    }
    if (rest < 0) return missing
    const header: Buffer = yield { kind: 'bytes', bytes: BOX_HEADER, skip: rest, mayEnd: true, missing }
    bytes = header.readUInt32BE(0)
  }
}

/**
 * The same chunks of a file.
 * @throws OriginalError `original_broken` after the last one if the container does not end.
 */
export async function* completeChunks(chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const end = createContainerEnd()
  for await (const chunk of chunks) {
    end.push(chunk)
    yield chunk
  }
  assertEnd(end)
}

/** @throws OriginalError `original_broken` */
export function assertEnd(end: ContainerEnd): void {
  const missing = end.missing()
  if (missing === undefined) return
  throw new OriginalError('original_broken', `The file is incomplete: ${missing} is missing; send the whole file again`)
}
