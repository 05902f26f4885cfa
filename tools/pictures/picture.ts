import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import sharp from 'sharp'
import { createRandom } from './seeded-random.ts'

export interface Picture {
  readonly bytes: Buffer
  /** As the service will name it. */
  readonly id: string
}

/** A PNG of noise that no other seed gives; about three bytes a pixel. @param seed Any whole number but 0. */
export async function noisePicture(seed: number, width = 64, height = 48): Promise<Picture> {
  const random = createRandom(seed)
  const data = Buffer.alloc(width * height * 3)
  for (let at = 0; at < data.length; at += 1) data[at] = random() >>> 24
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer()
  return { bytes, id: idOf(bytes) }
}

export function idOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 40)
}

/** What a decoder makes of a whole picture. @throws if it can't be decoded to its end. */
export async function decoded(bytes: Buffer): Promise<{ format: string; width: number; height: number }> {
  const image = sharp(bytes, { failOn: 'truncated', pages: -1 })
  const { format, compression, width, pageHeight, height } = await image.metadata()
  await image.raw().toBuffer()
  return { format: format === 'heif' && compression === 'av1' ? 'avif' : format, width, height: pageHeight ?? height }
}

/** Fails unless the bytes are a whole picture of that format and width. */
export async function assertPicture(bytes: Buffer, expected: { format: string; width: number }): Promise<void> {
  const { format, width } = await decoded(bytes)
  assert.deepEqual({ format, width }, expected)
}
