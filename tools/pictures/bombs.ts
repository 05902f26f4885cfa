import { constants, crc32, deflateRawSync } from 'node:zlib'
import sharp from 'sharp'
import { fixture } from '../servers/darkroom.ts'
import { exifBlock, withSegment } from './metadata.ts'

/**
 * `refused`: by its header, with 413. `bounded`: it may be taken or not, but in bounded memory and time. What must not be taken
 * says with which code it is refused. `unread`: nothing here decodes it, HEVC for one.
 */
export type BombFate = 'refused' | 'bounded' | 'broken' | 'unread'

export interface Bomb {
  readonly name: string
  readonly fate: BombFate
  readonly contentType: string
  make(): Buffer | Promise<Buffer>
}

const MIB = 2 ** 20
/** The most that a JPEG can have, a side. */
const SIDE = 65_500
/** Just within the default limit of pixels. */
const SQUARE = 10_000
const LARGE_DRAWING = 'width="9999" height="9999"'

/** Files that are small, and would be very large. */
export const BOMBS: readonly Bomb[] = [
  png('a PNG that claims 65,500 pixels a side', 'refused', () =>
    pngFile({ width: SIDE, height: SIDE }, Buffer.alloc(9)),
  ),
  png('a PNG that claims 2^31-1 pixels a side', 'refused', () =>
    pngFile({ width: 2 ** 31 - 1, height: 2 ** 31 - 1 }, Buffer.alloc(9)),
  ),
  png('a PNG of 40,000 x 40,000 that is all there', 'refused', () =>
    zeroPng({ width: 40_000, height: 40_000, depth: 1 }),
  ),
  png('a PNG of 65,500 x 1,500', 'bounded', () => zeroPng({ width: SIDE, height: 1500, depth: 1 })),
  png('an interlaced PNG of 10,000 x 10,000, 16 bits, with alpha', 'bounded', () =>
    zeroPng({ width: SQUARE, height: SQUARE, depth: 16, colour: 6, interlaced: true }),
  ),
  png('a PNG whose pixels go on for a gigabyte', 'bounded', () =>
    pngFile({ width: 8, height: 8 }, deflatedZeros(1024 * MIB)),
  ),
  png('a PNG whose profile unpacks to a gigabyte', 'bounded', () =>
    zeroPng({ width: 8, height: 8 }, pngChunk('iCCP', Buffer.from('p\0\0'), deflatedZeros(1024 * MIB))),
  ),
  png('a PNG whose text unpacks to a gigabyte', 'bounded', () =>
    zeroPng({ width: 8, height: 8 }, pngChunk('zTXt', Buffer.from('Comment\0\0'), deflatedZeros(1024 * MIB))),
  ),
  png('a PNG whose XMP unpacks to a gigabyte', 'bounded', () =>
    zeroPng(
      { width: 8, height: 8 },
      pngChunk('iTXt', Buffer.from('XML:com.adobe.xmp\0\x01\0\0\0'), deflatedZeros(1024 * MIB)),
    ),
  ),
  png('a PNG with 20,000 texts', 'bounded', () =>
    zeroPng(
      { width: 8, height: 8 },
      Buffer.concat(Array.from({ length: 20_000 }, (_, at) => pngChunk('tEXt', Buffer.from(`k${at}\0v`)))),
    ),
  ),

  gif('a GIF whose screen claims 65,500 pixels a side', 'bounded', () =>
    gifFile({ width: SIDE, height: SIDE }, [gifFrame(1, 1)]),
  ),
  gif('a GIF of 20,000 frames', 'refused', () =>
    gifFile(
      { width: 1, height: 1 },
      Array.from({ length: 20_000 }, () => gifFrame(1, 1)),
    ),
  ),
  gif('a GIF of 400 frames that claim 65,500 pixels a side each', 'refused', () =>
    gifFile(
      { width: 8, height: 8 },
      Array.from({ length: 400 }, () => gifFrame(SIDE, SIDE)),
    ),
  ),
  gif('a GIF of 490 frames, 450 x 450 each', 'bounded', () =>
    gifFile(
      { width: 450, height: 450 },
      Array.from({ length: 490 }, () => gifFrame(1, 1)),
    ),
  ),
  gif('a GIF of 10,000 x 10,000', 'bounded', () => gifFile({ width: SQUARE, height: SQUARE }, [gifFrame(1, 1)])),

  webp('a WebP that claims 16,384 pixels a side', 'refused', () =>
    sharp(plain(16_383, 16_383)).webp({ lossless: true, effort: 0 }).toBuffer(),
  ),
  webp('an animated WebP of 16,384 x 6,000', 'bounded', () => animatedWebp(16_384, 6000, 1)),
  webp('an animated WebP of 20,000 frames', 'refused', () => animatedWebp(1, 1, 20_000)),
  webp('an animated WebP whose canvas claims 2^24 pixels a side', 'refused', () => animatedWebp(2 ** 24, 2 ** 24, 2)),
  webp('a WebP of 16,383 x 6,100', 'bounded', () =>
    sharp(plain(16_383, 6100)).webp({ lossless: true, effort: 0 }).toBuffer(),
  ),

  avif('an AVIF that claims 65,500 pixels a side', 'refused', () => claimingAvif(SIDE, SIDE)),
  avif('an AVIF that claims 10,000 pixels a side', 'broken', () => claimingAvif(SQUARE, SQUARE)),

  heif('a HEIC that claims 65,500 pixels a side', 'unread', async () => {
    const bytes = await fixture('mountains.heic')
    const at = bytes.indexOf('ispe')
    bytes.writeUInt32BE(SIDE, at + 8)
    bytes.writeUInt32BE(SIDE, at + 12)
    return bytes
  }),

  tiff('a TIFF that claims 65,500 pixels a side', 'refused', () =>
    tiffFile({ width: SIDE, height: SIDE }, Buffer.alloc(9)),
  ),
  tiff('a TIFF that claims 2^31-1 pixels a side', 'refused', () =>
    tiffFile({ width: 2 ** 31 - 1, height: 2 ** 31 - 1 }, Buffer.alloc(9)),
  ),
  tiff('a TIFF of 10,000 x 10,000 in one strip', 'bounded', () =>
    tiffFile({ width: SQUARE, height: SQUARE }, deflatedZeros(SQUARE * SQUARE * 3)),
  ),
  tiff('a TIFF whose directory is followed by itself', 'bounded', () =>
    tiffFile({ width: 8, height: 8, next: 8 }, deflatedZeros(8 * 8 * 3)),
  ),
  tiff('a TIFF whose only tile has 2^30 pixels', 'broken', () =>
    tiffFile({ width: 8, height: 8, tile: 32_768 }, deflatedZeros(MIB)),
  ),

  jpeg('a JPEG that claims 65,500 pixels a side', 'refused', () => claimingJpeg(SIDE, SIDE)),
  jpeg('a JPEG of 65,500 x 1,500', 'bounded', () => sharp(plain(SIDE, 1500)).jpeg().toBuffer()),
  jpeg('a progressive JPEG of 10,000 x 10,000', 'bounded', () =>
    sharp(plain(SQUARE, SQUARE)).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer(),
  ),
  jpeg('a progressive JPEG of 4,000 x 4,000 with 1,000 scans', 'bounded', () => manyScans(4000, 1000)),
  jpeg('a JPEG with a profile of 16 megabytes', 'bounded', async () =>
    withSegments(await small(), 0xe2, 255, (at) =>
      Buffer.concat([Buffer.from('ICC_PROFILE\0'), Buffer.from([at + 1, 255]), Buffer.alloc(65_000, 'acsp')]),
    ),
  ),
  jpeg('a JPEG with EXIF that counts to 2^32-1', 'bounded', async () =>
    withSegment(
      await small(),
      0xe1,
      Buffer.concat([
        Buffer.from('Exif\0\0'),
        exifBlock(
          [0x010e, 0x0112, 0x8769, 0x8825, 0x9286].map((tag) => ({
            tag,
            type: 4,
            count: 2 ** 32 - 1,
            bytes: Buffer.alloc(4),
          })),
        ),
      ]),
    ),
  ),
  jpeg('a JPEG with EXIF whose directories point at each other', 'bounded', async () =>
    withSegment(await small(), 0xe1, Buffer.concat([Buffer.from('Exif\0\0'), loopingExif()])),
  ),

  svg(
    'an SVG of 100,000 x 100,000',
    'refused',
    drawing('<rect width="9" height="9"/>', 'width="100000" height="100000"'),
  ),
  svg('an SVG whose view box is endless', 'bounded', drawing('', 'viewBox="0 0 1e30 1e30"')),
  svg('an SVG of a billion laughs', 'bounded', () => Buffer.from(laughs())),
  svg('an SVG with 2^30 uses of uses', 'bounded', drawing(nestedUses(30))),
  svg(
    'an SVG with an endless blur',
    'bounded',
    drawing(filtered('<feGaussianBlur stdDeviation="1000000"/>'), LARGE_DRAWING),
  ),
  svg(
    'an SVG with much turbulence',
    'bounded',
    drawing(filtered('<feTurbulence baseFrequency="9" numOctaves="1000000"/>'.repeat(9)), LARGE_DRAWING),
  ),
  svg(
    'an SVG with a thousand filters',
    'bounded',
    drawing(filtered('<feMorphology operator="dilate" radius="400"/>'.repeat(1000)), LARGE_DRAWING),
  ),
  svg(
    'an SVG of 100,000 groups in each other',
    'bounded',
    drawing(`${'<g>'.repeat(100_000)}${'</g>'.repeat(100_000)}`),
  ),
  svg(
    'an SVG with a pattern of tiny tiles',
    'bounded',
    drawing(
      '<pattern id="p" width="0.001" height="0.001" patternUnits="userSpaceOnUse"><rect width="1" height="1"/></pattern><rect width="9999" height="9999" fill="url(#p)"/>',
      LARGE_DRAWING,
    ),
  ),
  svg(
    'an SVG with a line of a billion dashes',
    'bounded',
    drawing('<path d="M0 0 L 1e9 1e9" stroke="red" stroke-dasharray="0.0001"/>', LARGE_DRAWING),
  ),
]

function png(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/png', make }
}
function gif(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/gif', make }
}
function webp(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/webp', make }
}
function avif(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/avif', make }
}
function heif(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/heic', make }
}
function tiff(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/tiff', make }
}
function jpeg(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/jpeg', make }
}
function svg(name: string, fate: BombFate, make: Bomb['make']): Bomb {
  return { name, fate, contentType: 'image/svg+xml', make }
}

/** One colour, as large as that: a line of it takes no memory here. */
function plain(width: number, height: number) {
  return { create: { width, height, channels: 3, background: '#336699' }, limitInputPixels: false } as const
}

function small(): Promise<Buffer> {
  return sharp(plain(64, 64)).jpeg().toBuffer()
}

/** Zeros as zlib packs them, made without ever having them: a thousandth of their number. */
function deflatedZeros(length: number): Buffer {
  const piece = deflateRawSync(Buffer.alloc(MIB), { finishFlush: constants.Z_FULL_FLUSH })
  const rest = deflateRawSync(Buffer.alloc(length % MIB))
  // Adler-32 of zeros: the first sum stays 1, the second counts.
  const sum = Buffer.alloc(4)
  sum.writeUInt16BE(length % 65_521)
  sum.writeUInt16BE(1, 2)
  const pieces = Array.from({ length: Math.floor(length / MIB) }, () => piece)
  return Buffer.concat([Buffer.from([0x78, 0x01]), ...pieces, rest, sum])
}

interface PngHeader {
  readonly width: number
  readonly height: number
  readonly depth?: number
  readonly colour?: number
  readonly interlaced?: boolean
}

function zeroPng(header: PngHeader, more?: Buffer): Buffer {
  const { width, height, depth = 8, colour = 0, interlaced = false } = header
  const channels = colour === 6 ? 4 : 1
  const lineBytes = (pixels: number) => (pixels === 0 ? 0 : 1 + Math.ceil((pixels * channels * depth) / 8))
  const passes = interlaced ? ADAM7 : [{ x: 0, y: 0, dx: 1, dy: 1 }]
  const bytes = passes.reduce(
    (sum, { x, y, dx, dy }) => sum + Math.ceil((height - y) / dy) * lineBytes(Math.ceil((width - x) / dx)),
    0,
  )
  return pngFile(header, deflatedZeros(bytes), more)
}

const ADAM7 = [
  { x: 0, y: 0, dx: 8, dy: 8 },
  { x: 4, y: 0, dx: 8, dy: 8 },
  { x: 0, y: 4, dx: 4, dy: 8 },
  { x: 2, y: 0, dx: 4, dy: 4 },
  { x: 0, y: 2, dx: 2, dy: 4 },
  { x: 1, y: 0, dx: 2, dy: 2 },
  { x: 0, y: 1, dx: 1, dy: 2 },
]

function pngFile(
  { width, height, depth = 8, colour = 0, interlaced = false }: PngHeader,
  data: Buffer,
  more: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8)
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([signature, pngChunk('IHDR', header), more, pngChunk('IDAT', data), pngChunk('IEND')])
}

export function pngChunk(type: string, ...data: readonly Buffer[]): Buffer {
  const named = Buffer.concat([Buffer.from(type), ...data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(named.length - 4)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}

interface PixelSize {
  readonly width: number
  readonly height: number
}

function gifFile({ width, height }: PixelSize, frames: readonly Buffer[]): Buffer {
  const head = Buffer.from('GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff', 'latin1')
  head.writeUInt16LE(width, 6)
  head.writeUInt16LE(height, 8)
  return Buffer.concat([head, ...frames, Buffer.from(';')])
}

function gifFrame(width: number, height: number): Buffer {
  const control = Buffer.from('!\xf9\x04\0\x05\0\0\0', 'latin1')
  const image = Buffer.from(',\0\0\0\0\0\0\0\0\0', 'latin1')
  image.writeUInt16LE(width, 5)
  image.writeUInt16LE(height, 7)
  return Buffer.concat([control, image, Buffer.from('\x02\x02\x4c\x01\0', 'latin1')])
}

async function animatedWebp(width: number, height: number, frames: number): Promise<Buffer> {
  const still = await sharp(plain(1, 1)).webp({ lossless: true }).toBuffer()
  const flags = Buffer.from([0x02, 0, 0, 0])
  const canvas = riffChunk('VP8X', flags, int24(width - 1), int24(height - 1))
  const frame = riffChunk('ANMF', Buffer.alloc(6), int24(0), int24(0), int24(40), Buffer.alloc(1), still.subarray(12))
  const body = Buffer.concat([
    canvas,
    riffChunk('ANIM', Buffer.alloc(6)),
    ...Array.from({ length: frames }, () => frame),
  ])
  return riffChunk('RIFF', Buffer.from('WEBP'), body)
}

function riffChunk(type: string, ...data: readonly Buffer[]): Buffer {
  const joined = Buffer.concat(data)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(joined.length)
  return Buffer.concat([Buffer.from(type), length, joined, Buffer.alloc(joined.length % 2)])
}

function int24(value: number): Buffer {
  return Buffer.from([value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff])
}

async function claimingAvif(width: number, height: number): Promise<Buffer> {
  const bytes = await sharp(plain(64, 64)).avif({ effort: 0 }).toBuffer()
  const at = bytes.indexOf('ispe')
  bytes.writeUInt32BE(width, at + 8)
  bytes.writeUInt32BE(height, at + 12)
  return bytes
}

async function claimingJpeg(width: number, height: number): Promise<Buffer> {
  const bytes = await small()
  const at = bytes.indexOf(Buffer.from([0xff, 0xc0]))
  bytes.writeUInt16BE(height, at + 5)
  bytes.writeUInt16BE(width, at + 7)
  return bytes
}

/** The last scan again and again: each makes a decoder go over all of the picture. */
async function manyScans(side: number, count: number): Promise<Buffer> {
  const bytes = await sharp(plain(side, side)).jpeg({ progressive: true }).toBuffer()
  const at = bytes.lastIndexOf(Buffer.from([0xff, 0xda]))
  const scan = bytes.subarray(at, -2)
  return Buffer.concat([bytes.subarray(0, -2), ...Array.from({ length: count }, () => scan), bytes.subarray(-2)])
}

function withSegments(file: Buffer, marker: number, count: number, content: (at: number) => Buffer): Buffer {
  return Array.from({ length: count }, (_, at) => count - 1 - at).reduce<Buffer>(
    (made, at) => withSegment(made, marker, content(at)),
    file,
  )
}

/** Two directories, each the other's EXIF directory and next one. */
function loopingExif(): Buffer {
  const block = Buffer.alloc(8 + 2 * 30)
  block.write('II*\0', 'latin1')
  block.writeUInt32LE(8, 4)
  for (const [at, other] of [
    [8, 38],
    [38, 8],
  ] as const) {
    block.writeUInt16LE(2, at)
    for (const [entry, tag] of [0x8769, 0x8825].entries()) {
      block.writeUInt16LE(tag, at + 2 + entry * 12)
      block.writeUInt16LE(4, at + 4 + entry * 12)
      block.writeUInt32LE(1, at + 6 + entry * 12)
      block.writeUInt32LE(other, at + 10 + entry * 12)
    }
    block.writeUInt32LE(other, at + 26)
  }
  return block
}

interface TiffHeader extends PixelSize {
  /** Side of its only tile; absent: one strip. */
  readonly tile?: number
  /** Where the next directory is. */
  readonly next?: number
}

/** RGB, packed by zlib. */
function tiffFile({ width, height, tile, next = 0 }: TiffHeader, data: Buffer): Buffer {
  const dataAt = 8 + 2 + 12 * 12 + 4 + 6
  const shared: (readonly [number, number, number])[] = [
    [256, 4, width],
    [257, 4, height],
    [258, 3, 8 + 2 + 12 * 12 + 4],
    [259, 3, 8],
    [262, 3, 2],
    [277, 3, 3],
    [284, 3, 1],
  ]
  const layout: (readonly [number, number, number])[] =
    tile === undefined
      ? [
          [273, 4, dataAt],
          [278, 4, height],
          [279, 4, data.length],
        ]
      : [
          [322, 4, tile],
          [323, 4, tile],
          [324, 4, dataAt],
          [325, 4, data.length],
        ]
  const entries = [...shared, ...layout].toSorted(([one], [other]) => one - other)
  const bytes = Buffer.alloc(dataAt)
  bytes.write('II*\0', 'latin1')
  bytes.writeUInt32LE(8, 4)
  bytes.writeUInt16LE(entries.length, 8)
  for (const [at, [tag, type, value]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 10 + at * 12)
    bytes.writeUInt16LE(type, 12 + at * 12)
    bytes.writeUInt32LE(tag === 258 ? 3 : 1, 14 + at * 12)
    bytes.writeUInt32LE(value, 18 + at * 12)
  }
  bytes.writeUInt32LE(next, 10 + entries.length * 12)
  for (const at of [0, 2, 4]) bytes.writeUInt16LE(8, dataAt - 6 + at)
  return Buffer.concat([bytes, data])
}

function drawing(content: string, size = 'width="90" height="90"'): () => Buffer {
  return () =>
    Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${size}>${content}</svg>`,
    )
}

function filtered(primitives: string): string {
  return `<filter id="f" x="0" y="0" width="1" height="1">${primitives}</filter><rect width="9999" height="9999" filter="url(#f)"/>`
}

function nestedUses(levels: number): string {
  const uses = Array.from(
    { length: levels },
    (_, at) => `<g id="g${at + 1}"><use xlink:href="#g${at}"/><use xlink:href="#g${at}"/></g>`,
  )
  return `<defs><rect id="g0" width="9" height="9"/>${uses.join('')}</defs><use xlink:href="#g${levels}"/>`
}

function laughs(): string {
  const entities = Array.from({ length: 9 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`)
  return `<!DOCTYPE svg [<!ENTITY l0 "ha">${entities.join('')}]><svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><text>&l9;</text></svg>`
}
