import { crc32, deflateSync } from 'node:zlib'
import { CHANNELS, type Raster } from '../../tools/pictures/raster.ts'

export interface PngOptions {
  /** Only red and alpha are looked at for the grey ones. */
  readonly colours: 'grey' | 'grey-alpha' | 'rgb' | 'rgba'
  readonly bits: 8 | 16
  readonly profile?: Buffer
  /** EXIF orientation. */
  readonly orientation?: number
}

const COLOURS = {
  grey: { type: 0, channels: [0] },
  'grey-alpha': { type: 4, channels: [0, 3] },
  rgb: { type: 2, channels: [0, 1, 2] },
  rgba: { type: 6, channels: [0, 1, 2, 3] },
} as const

/** A PNG made by hand: every bit of what it says is as given. @see https://www.w3.org/TR/png-3/ */
export function pngFile({ width, height, data }: Raster, { colours, bits, profile, orientation }: PngOptions): Buffer {
  const { type, channels } = COLOURS[colours]
  const sampleBytes = bits / 8
  const rowBytes = 1 + width * channels.length * sampleBytes
  const rows = Buffer.alloc(rowBytes * height)
  for (let y = 0; y < height; y += 1) {
    let at = y * rowBytes + 1
    for (let x = 0; x < width; x += 1) {
      for (const channel of channels) {
        const value = (data[(y * width + x) * CHANNELS + channel] ?? 0) / 255
        if (bits === 16) rows.writeUInt16BE(Math.round(value * 0xffff), at)
        else rows.writeUInt8(Math.round(value * 0xff), at)
        at += sampleBytes
      }
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([bits, type], 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...(profile ? [chunk('iCCP', Buffer.concat([Buffer.from('By hand\0\0'), deflateSync(profile)]))] : []),
    ...(orientation === undefined ? [] : [chunk('eXIf', exifOrientation(orientation))]),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(name: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name), body])
  const [length, check] = [body.length, crc32(named)].map((value) => {
    const field = Buffer.alloc(4)
    field.writeUInt32BE(value)
    return field
  })
  return Buffer.concat([length ?? named, named, check ?? named])
}

/** One directory with one tag: the smallest EXIF there is. */
function exifOrientation(orientation: number): Buffer {
  const exif = Buffer.from('MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0', 'latin1')
  exif.writeUInt16BE(orientation, 18)
  return exif
}
