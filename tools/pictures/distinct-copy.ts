import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { sniffFormat } from '../../src/domain/picture/file-structure.ts'

const START_OF_IMAGE_BYTES = 2
/** The signature and the chunk IHDR. */
const PNG_HEAD_BYTES = 33
const RIFF_HEAD_BYTES = 8

/** File name extensions of the formats that `distinctCopy` knows. */
const EXTENSIONS = { jpeg: 'jpg', png: 'png', webp: 'webp' } as const

/** The same picture with a text in its file, so that its id differs and nothing else does. @throws unless it is JPEG, PNG or WebP. */
export function distinctCopy(file: Buffer, text: string): Buffer {
  switch (knownFormat(file)) {
    case 'jpeg':
      return withComment(file, text)
    case 'png':
      return Buffer.concat([file.subarray(0, PNG_HEAD_BYTES), pngText(text), file.subarray(PNG_HEAD_BYTES)])
    case 'webp':
      return withRiffChunk(file, text)
  }
}

/** @throws unless it is JPEG, PNG or WebP. */
export function extensionOf(file: Buffer): string {
  return EXTENSIONS[knownFormat(file)]
}

function knownFormat(file: Buffer): keyof typeof EXTENSIONS {
  const format = sniffFormat(file.subarray(0, 512))
  assert.ok(format === 'jpeg' || format === 'png' || format === 'webp', `${format} should be JPEG, PNG or WebP`)
  return format
}

/** A JPEG with a comment. */
export function withComment(jpeg: Buffer, comment: string): Buffer {
  const text = Buffer.from(comment)
  const head = Buffer.from([0xff, 0xfe, 0, 0])
  head.writeUInt16BE(text.length + 2, 2)
  return Buffer.concat([jpeg.subarray(0, START_OF_IMAGE_BYTES), head, text, jpeg.subarray(START_OF_IMAGE_BYTES)])
}

/** @see https://www.w3.org/TR/png-3/#11tEXt */
function pngText(text: string): Buffer {
  const content = Buffer.from(`tEXtComment\0${text}`, 'latin1')
  const numbers = Buffer.alloc(8)
  numbers.writeUInt32BE(content.length - 'tEXt'.length, 0)
  numbers.writeUInt32BE(crc32(content), 4)
  return Buffer.concat([numbers.subarray(0, 4), content, numbers.subarray(4)])
}

/** Decoders ignore chunks whose name they do not know. @see https://www.rfc-editor.org/rfc/rfc9649#section-2.7 */
function withRiffChunk(webp: Buffer, text: string): Buffer {
  const content = Buffer.from(text)
  const head = Buffer.alloc(RIFF_HEAD_BYTES, 'copy')
  head.writeUInt32LE(content.length, 4)
  const all = Buffer.concat([webp, head, content, Buffer.alloc(content.length & 1)])
  all.writeUInt32LE(all.length - RIFF_HEAD_BYTES, 4)
  return all
}
