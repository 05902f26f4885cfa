import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { createEngine, fixture, render, renderOne } from '../support/render.ts'

/** What an upload of these bytes ends with. */
async function accept(bytes: Buffer, options: Parameters<typeof createEngine>[0] = {}): Promise<void> {
  const engine = createEngine(options)
  const facts = await engine.inspect({ bytes })
  await engine.verify({ bytes }, facts)
}

async function animatedWebp(): Promise<Buffer> {
  return await sharp(await fixture('dandelion.gif'), { pages: -1 })
    .webp()
    .toBuffer()
}

const SOUND = {
  'a JPEG': () => fixture('mountains.jpg'),
  'a progressive JPEG': async () =>
    await sharp(await fixture('mountains.jpg'))
      .jpeg({ progressive: true })
      .toBuffer(),
  'a PNG': () => fixture('fig-alpha.png'),
  'an interlaced PNG': async () =>
    await sharp(await fixture('fig-alpha.png'))
      .png({ progressive: true })
      .toBuffer(),
  'a GIF': () => fixture('dandelion.gif'),
  'a WebP': () => fixture('stream.webp'),
  'a lossless WebP': async () =>
    await sharp(await fixture('fig-alpha.png'))
      .webp({ lossless: true })
      .toBuffer(),
  'an animated WebP': animatedWebp,
  'an AVIF': () => fixture('stream.avif'),
} as const
for (const [name, make] of Object.entries(SOUND)) {
  test(`${name} passes, and cut anywhere it is broken`, async () => {
    const bytes = await make()
    await accept(bytes)
    for (const part of [0.3, 0.6, 0.9]) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * part))
      await assert.rejects(accept(cut), { name: 'OriginalError', code: 'original_broken' }, `cut at ${part}`)
    }
  })
}

test('A JPEG without its end mark, as some cameras write it, passes', async () => {
  const bytes = await fixture('mountains.jpg')
  await accept(bytes.subarray(0, -2))
})

test('What follows a picture, or a name and type that are wrong, changes nothing', async () => {
  for (const tail of ['<script>alert(1)</script>', 'PK\x03\x04', '\0'.repeat(5000)]) {
    await accept(Buffer.concat([await fixture('mountains.jpg'), Buffer.from(tail)]))
    await accept(Buffer.concat([await fixture('fig-alpha.png'), Buffer.from(tail)]))
  }
})

const svg = Buffer.from(
  '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
)
const HEIC = Buffer.concat([Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), randomBytes(500)])
const UNSUPPORTED = {
  nothing: async () => Buffer.alloc(0),
  'a single byte': async () => Buffer.from('\xff', 'latin1'),
  noise: async () => Buffer.concat([Buffer.from([0]), randomBytes(5000)]),
  'an SVG': async () => svg,
  'a TIFF': async () =>
    await sharp(await fixture('dogs-grey.jpg'))
      .tiff()
      .toBuffer(),
  'a HEIC': async () => HEIC,
  'a PDF': async () => Buffer.from('%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n'),
  'a web page': async () => Buffer.from('<!DOCTYPE html><html><body><svg></svg></body></html>'),
  'a picture with bytes before it': async () => Buffer.concat([Buffer.from('x'), await fixture('mountains.jpg')]),
  'raw numbers that libvips could read': async () => Buffer.from('P5 2 2 255 abcd'),
  'a script for ImageMagick': async () => Buffer.from('push graphic-context\nimage over 0,0 0,0 "x"'),
} as const
for (const [name, make] of Object.entries(UNSUPPORTED)) {
  test(`${name} is no image that we read`, async () => {
    await assert.rejects(accept(await make()), { name: 'OriginalError', code: 'original_unsupported' })
  })
}

const BROKEN = {
  'a JPEG of nothing': Buffer.from('\xff\xd8\xff\xd9', 'latin1'),
  'a PNG of noise': Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), randomBytes(500)]),
  'a WebP of noise': Buffer.concat([Buffer.from('RIFF\xf0\x01\0\0WEBP', 'latin1'), randomBytes(500)]),
  'a GIF of nothing': Buffer.from('GIF89a'),
  'an AVIF of noise': Buffer.concat([Buffer.from('\0\0\0\x18ftypavif\0\0\0\0mif1avif', 'latin1'), randomBytes(500)]),
} as const
for (const [name, bytes] of Object.entries(BROKEN)) {
  test(`${name} is a broken image`, async () => {
    await assert.rejects(accept(bytes), { name: 'OriginalError', code: 'original_broken' })
  })
}

test('What is switched on is read, a drawing as pixels only', async () => {
  const engine = createEngine({ inputFormats: ['svg', 'tiff'] })
  const facts = await engine.inspect({ bytes: svg })
  assert.partialDeepStrictEqual(facts, { format: 'svg', stored: { width: 9, height: 9 } })
  await assert.rejects(engine.inspect({ bytes: await fixture('mountains.jpg') }), { code: 'original_unsupported' })
  await assert.rejects(accept(svg), { code: 'original_unsupported' })
})

/** A PNG whose header claims a size, with no pixels worth the name. */
function claimingPng(width: number, height: number): Buffer {
  const header = Buffer.from('IHDR\0\0\0\0\0\0\0\0\x08\x06\0\0\0', 'latin1')
  header.writeUInt32BE(width, 4)
  header.writeUInt32BE(height, 8)
  const data = Buffer.concat([Buffer.from('IDAT'), Buffer.from([0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01])])
  const chunks = [header, data, Buffer.from('IEND')].map((chunk) => {
    const framed = Buffer.alloc(chunk.length + 8)
    framed.writeUInt32BE(chunk.length - 4)
    chunk.copy(framed, 4)
    framed.writeUInt32BE(crc32(chunk), chunk.length + 4)
    return framed
  })
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks])
}

test('A claim of too many pixels is refused before any memory is spent on it', async () => {
  const before = process.memoryUsage().rss
  for (const [width, height] of [
    [60_000, 60_000],
    [100_001, 1000],
    [10_001, 10_000],
  ] as const) {
    await assert.rejects(accept(claimingPng(width, height)), {
      code: 'original_too_large',
      message: /the limit is (?:100 MP|100000000 pixels) \(MAX_PIXELS\)$/,
    })
  }
  await assert.rejects(accept(claimingPng(10_000, 10_000)), { code: 'original_broken' })
  assert.ok(process.memoryUsage().rss - before < 300 * 2 ** 20)
})

test('Pixels are counted over all frames, and frames by themselves', async () => {
  const bytes = await fixture('dandelion.gif')
  const pixels = 6 * 160 * 90
  await accept(bytes, { maxPixels: pixels, maxFrames: 6 })
  await assert.rejects(accept(bytes, { maxPixels: pixels - 1 }), {
    code: 'original_too_large',
    message: /86400 pixels over all frames; the limit is 86399 pixels \(MAX_PIXELS\)$/,
  })
  await assert.rejects(accept(bytes, { maxFrames: 5 }), {
    code: 'original_too_large',
    message: /6 frames; the limit is 5 \(MAX_FRAMES\)$/,
  })
})

test('A rendition of an original whose file has gone is not the image’s fault', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'original')
  const engine = createEngine()
  await assert.rejects(engine.inspect({ path }), { name: 'UnavailableError', code: 'disk_unavailable' })
  await writeFile(path, await fixture('mountains.jpg'))
  const facts = await engine.inspect({ path })
  await rm(path)
  await assert.rejects(engine.verify({ path }, facts), { name: 'UnavailableError', code: 'disk_unavailable' })
})

const SPECS = [
  'full',
  '1w',
  '1h',
  '400w',
  '100s',
  '1s',
  '300w1h,cover',
  '1w300h,cover,smart',
  '100w100h,contain',
  '100s,up',
  '50w80h,fill,up',
  '60s,up,entropy,rot90',
  '9w9h,outside',
  '40s,at100x0,flip,blur0.6,sharpen,gray',
]
const EXTREMES = [
  ['a single pixel', 1, 1],
  ['a column', 1, 8000],
  ['a row', 8000, 1],
  ['a narrow column', 2, 3000],
] as const
for (const [name, width, height] of EXTREMES) {
  test(`${name}, ${width}x${height}, is rendered in every size and format`, async () => {
    const noise = sharp(randomBytes(width * height * 3), { raw: { width, height, channels: 3 } })
    const bytes = await noise.png().toBuffer()
    for (const spec of SPECS) {
      for (const format of OUTPUT_FORMATS) {
        const made = await render(bytes, spec, format).catch((cause: unknown) => {
          throw new Error(`${spec}.${format}`, { cause })
        })
        const { width: madeWidth, height: madeHeight } = await sharp(made).metadata()
        assert.ok(madeWidth >= 1 && madeHeight >= 1)
      }
    }
  })
}

test('A render that takes too long is ended, whichever way it is made', async () => {
  const engine = createEngine({ timeoutSeconds: 1 })
  const plain = (red: number) =>
    sharp({ create: { width: 1000, height: 1000, channels: 3, background: { r: red, g: 0, b: 0 } } })
      .png()
      .toBuffer()
  const bytes = await plain(0)
  const frames = await Promise.all(Array.from({ length: 90 }, (_, index) => plain(index * 2)))
  const animation = await sharp(frames, { join: { animated: true } })
    .webp({ effort: 0 })
    .toBuffer()
  for (const [spec, format, original] of [
    ['2048w,4x,up,blur50', 'png', bytes],
    ['1000w,blur50,sharpen', 'gif', animation],
  ] as const) {
    const facts = await engine.inspect({ bytes: original })
    const plan = planTransform(parseSpec(spec), facts, format, 8192)
    const began = performance.now()
    await assert.rejects(renderOne(engine, { bytes: original }, plan), { name: 'UnavailableError', code: 'timed_out' })
    assert.ok(performance.now() - began < 15_000)
  }
})
