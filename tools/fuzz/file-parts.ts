import { sniffFormat } from '../../src/domain/picture/file-structure.ts'

/**
 * Cuts a file where its format does: PNG's and WebP's chunks, JPEG's segments, GIF's blocks, the boxes of AVIF and HEIC, the
 * entries of a TIFF's first directory, an SVG's tags. The parts joined are the file.
 *
 * What is no file of these is one part.
 */
export function fileParts(bytes: Buffer): readonly Buffer[] {
  const cuts = [0, ...cutsOf(bytes), bytes.length].filter((at) => at <= bytes.length)
  const inOrder = [...new Set(cuts)].toSorted((one, other) => one - other)
  return inOrder.slice(1).map((end, index) => bytes.subarray(inOrder[index], end))
}

function cutsOf(bytes: Buffer): Iterable<number> {
  switch (sniffFormat(bytes.subarray(0, 512))) {
    case 'png':
      return follow(bytes, 8, (at) => 12 + read32(bytes, at))
    case 'webp':
      return follow(bytes, 12, (at) => 8 + evenUp(at + 8 > bytes.length ? 0 : bytes.readUInt32LE(at + 4)))
    case 'avif':
    case 'heif':
      return boxes(bytes)
    case 'jpeg':
      return segments(bytes)
    case 'gif':
      return blocks(bytes)
    case 'tiff':
      return entries(bytes)
    case 'svg':
      return Array.from(bytes.toString('latin1').matchAll(/</g), ({ index }) => index)
    case undefined:
      return []
  }
}

/** Where each part begins, if each says how long it is. */
function* follow(bytes: Buffer, start: number, lengthAt: (at: number) => number): Generator<number> {
  for (let at = start; at < bytes.length; at += Math.max(1, lengthAt(at))) yield at
}

/** Also inside `meta`, which holds nearly all that a decoder believes. */
function* boxes(bytes: Buffer): Generator<number> {
  const lengthAt = (at: number) => Math.max(8, read32(bytes, at))
  for (const at of follow(bytes, 0, lengthAt)) {
    yield at
    if (bytes.toString('latin1', at + 4, at + 8) !== 'meta') continue
    yield* follow(bytes.subarray(0, at + read32(bytes, at)), at + 12, lengthAt)
  }
}

function* segments(bytes: Buffer): Generator<number> {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; at += 2 + bytes.readUInt16BE(at + 2)) {
    yield at
    if (bytes[at + 1] === 0xda) return
  }
}

function* blocks(bytes: Buffer): Generator<number> {
  const palette = (flags = 0) => ((flags & 0x80) === 0 ? 0 : 3 << ((flags & 7) + 1))
  let at = 13 + palette(bytes[10])
  while (bytes[at] === 0x21 || bytes[at] === 0x2c) {
    yield at
    at += bytes[at] === 0x21 ? 2 : 11 + palette(bytes[at + 9])
    while (at < bytes.length && bytes[at] !== 0) at += 1 + (bytes[at] ?? 0)
    at += 1
  }
  yield at
}

function* entries(bytes: Buffer): Generator<number> {
  if (bytes.length < 8) return
  const little = bytes[0] === 0x49
  const at = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4)
  if (at + 2 > bytes.length) return
  yield at
  const count = little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)
  for (let entry = 0; entry <= count; entry += 1) yield at + 2 + entry * 12
}

function read32(bytes: Buffer, at: number): number {
  return at + 4 > bytes.length ? 0 : bytes.readUInt32BE(at)
}

function evenUp(length: number): number {
  return length + (length % 2)
}
