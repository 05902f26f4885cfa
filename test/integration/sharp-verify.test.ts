import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { mezzanineLevels } from '../../src/domain/picture/mezzanine.ts'
import { INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import type { Verified } from '../../src/service/ports/engine.ts'
import { fileParts } from '../../tools/fuzz/file-parts.ts'
import { pngChunk } from '../../tools/pictures/bombs.ts'
import { createEngine, fixture } from '../support/render.ts'

const engine = createEngine({ inputFormats: INPUT_FORMATS })

/** What an import and an upload of these bytes end with. */
async function accept(bytes: Buffer): Promise<Verified> {
  const facts = await engine.inspect({ bytes })
  await engine.verify({ bytes }, facts)
  return await engine.verify({ bytes }, facts, mezzanineLevels(facts, 1))
}

const garbage = (): Buffer => Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * 89) % 256))
const END_OF_IMAGE = Buffer.from([0xff, 0xd9])
/** A segment of JFIF 9.9, which no decoder knows. */
const ODD_VERSION = Buffer.from('\xff\xe0\0\x10JFIF\0\x09\x09\0\0\x01\0\x01\0\0', 'latin1')

/** Where 2,000 bytes in the middle of the file, which are in a scan, are replaced. */
async function spoiltJpeg(replacement: Buffer, progressive: boolean): Promise<Buffer> {
  const bytes = await sharp(await fixture('mountains.jpg'))
    .jpeg({ progressive })
    .toBuffer()
  const middle = Math.floor(bytes.length / 2)
  return Buffer.concat([bytes.subarray(0, middle), replacement, bytes.subarray(middle + 2000)])
}

/** After the mark that begins a JPEG. */
function inserted(jpeg: Buffer, segment: Buffer): Buffer {
  return Buffer.concat([jpeg.subarray(0, 2), segment, jpeg.subarray(2)])
}

async function pngParts(): Promise<Buffer[]> {
  return fileParts(await fixture('fig-alpha.png')).map((part) => Buffer.from(part))
}

const isPixels = (chunk: Buffer): boolean => chunk.toString('latin1', 4, 8) === 'IDAT'

/** @returns the chunk with another check sum. */
function miscounted(chunk: Buffer): Buffer {
  return Buffer.concat([chunk.subarray(0, -1), Buffer.from([(chunk.at(-1) ?? 0) ^ 0xff])])
}

async function tiff(options: { readonly tile?: boolean; readonly compression: 'lzw' | 'packbits' }): Promise<Buffer> {
  return await sharp(await fixture('fig-alpha.png'))
    .tiff({ tileWidth: 64, tileHeight: 64, ...options })
    .toBuffer()
}

/** With garbage in the middle, or where else. */
function spoilt(bytes: Buffer, at = Math.floor(bytes.length / 2), replacement = garbage()): Buffer {
  const copy = Buffer.from(bytes)
  replacement.copy(copy, at)
  return copy
}

const DAMAGED: Readonly<Record<string, () => Promise<Buffer>>> = {
  'a JPEG whose scan ends early, with an end mark': async () =>
    Buffer.concat([(await fixture('mountains.jpg')).subarray(0, 60_000), END_OF_IMAGE]),
  'a JPEG with garbage in its scan': () => spoiltJpeg(garbage(), false),
  'a progressive JPEG with garbage in a scan': () => spoiltJpeg(garbage(), true),
  'a progressive JPEG with a hole in a scan': () => spoiltJpeg(Buffer.alloc(0), true),
  'a JPEG with odd metadata and garbage in its scan': async () =>
    inserted(await spoiltJpeg(garbage(), false), ODD_VERSION),
  'a PNG with a wrong check sum of its pixels': async () =>
    Buffer.concat((await pngParts()).map((chunk) => (isPixels(chunk) ? miscounted(chunk) : chunk))),
  'a PNG whose last rows are missing': async () => {
    const parts = (await pngParts()).filter((chunk) => !isPixels(chunk))
    return Buffer.concat([...parts.slice(0, -1), pngChunk('IDAT', deflateSync(Buffer.alloc(9610))), ...parts.slice(-1)])
  },
  'a GIF with a broken last frame': async () => {
    const bytes = await fixture('dandelion.gif')
    return spoilt(bytes, bytes.length - 400, Buffer.alloc(100, 0xff))
  },
  'an animated WebP with a broken last frame': async () => {
    const bytes = await sharp(await fixture('dandelion.gif'), { pages: -1 })
      .webp()
      .toBuffer()
    return spoilt(bytes, bytes.lastIndexOf('ANMF') + 32, Buffer.alloc(28, 0xff))
  },
  'an AVIF with garbage in its pixels': async () => spoilt(await fixture('stream.avif')),
  'a TIFF with LZMA compression': () => fixture('gradient-lzma.tiff'),
  'a TIFF with old-style JPEG compression': () => fixture('gradient-old-jpeg.tiff'),
  'a tiled TIFF with old-style JPEG compression': () => fixture('gradient-old-jpeg-tiles.tiff'),
  'a TIFF with a broken strip': async () => spoilt(await tiff({ compression: 'lzw' })),
  'a TIFF with a broken tile': async () => spoilt(await tiff({ compression: 'lzw', tile: true })),
  'a TIFF with a strip that unpacks to too much': async () =>
    spoilt(await tiff({ compression: 'packbits' }), undefined, Buffer.alloc(300, 127)),
}
for (const [name, make] of Object.entries(DAMAGED)) {
  test(`${name} decodes with errors, and is refused`, async () => {
    const refusal = { name: 'OriginalError', code: 'original_broken', message: /cannot be decoded/ }
    const bytes = await make()
    const facts = await engine.inspect({ bytes })
    for (const levels of [undefined, [], mezzanineLevels(facts, 1)]) {
      await assert.rejects(engine.verify({ bytes }, facts, levels), refusal)
    }
  })
}

const ODD: Readonly<Record<string, () => Promise<Buffer>>> = {
  'a JPEG with junk between its segments': async () => {
    const [start = Buffer.alloc(0), first = Buffer.alloc(0), ...rest] = fileParts(await fixture('mountains.jpg'))
    return Buffer.concat([start, first, Buffer.from('junk'), ...rest])
  },
  'a JPEG of an unknown version of JFIF': async () => inserted(await fixture('mountains.jpg'), ODD_VERSION),
  'a JPEG with zeroes in the parameters of its scan': async () => {
    const bytes = await fixture('mountains.jpg')
    const scan = bytes.indexOf(Buffer.from([0xff, 0xda])) + 2
    return spoilt(bytes, scan + bytes.readUInt16BE(scan) - 3, Buffer.alloc(3))
  },
  'a JPEG with a profile that is none': async () => {
    const profile = Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), Buffer.alloc(200, 'no')])
    return inserted(await fixture('mountains.jpg'), Buffer.concat([Buffer.from([0xff, 0xe2, 0, 216]), profile]))
  },
  'a PNG with a wrong check sum of a text': async () => {
    const [header = Buffer.alloc(0), ...rest] = await pngParts()
    return Buffer.concat([
      header,
      ...rest.slice(0, 1),
      miscounted(pngChunk('tEXt', Buffer.from('Title\0x'))),
      ...rest.slice(1),
    ])
  },
  'a TIFF': () => fixture('gradient.tiff'),
  'a tiled TIFF': () => tiff({ compression: 'lzw', tile: true }),
  'a TIFF with a text without an end': async () => {
    const bytes = await fixture('gradient.tiff')
    const end = bytes.indexOf('a gradient\0') + 10
    assert.ok(end > 10)
    return spoilt(bytes, end, Buffer.from('!'))
  },
}
for (const [name, make] of Object.entries(ODD)) {
  test(`${name} decodes without errors, and is accepted`, async () => {
    await accept(await make())
  })
}

test('A warning of one picture is not held against the next', async () => {
  for (const name of ['a JPEG of an unknown version of JFIF', 'a TIFF with a text without an end']) {
    for (let times = 0; times < 3; times += 1) await engine.inspect({ bytes: (await ODD[name]?.()) ?? Buffer.alloc(0) })
    await accept(await fixture('mountains.jpg'))
    await accept(await fixture('gradient.tiff'))
  }
})

test('A TIFF that cannot be decoded says which compressions can', async () => {
  const message = /^This TIFF .* unsupported compression \(supported: none, LZW, Deflate/
  await assert.rejects(accept(await fixture('gradient-lzma.tiff')), { message })
})

test('The decoding that verifies a picture makes what reducing and measuring it make', async () => {
  for (const name of ['mountains.jpg', 'fig-alpha.png']) {
    const bytes = await fixture(name)
    const facts = await engine.inspect({ bytes })
    const levels = mezzanineLevels(facts, 1)
    const { reduced, info } = await engine.verify({ bytes }, facts, levels)
    const [again, measured] = [await engine.reduce({ bytes }, facts, levels), await engine.measure({ bytes }, facts)]
    assert.deepEqual(reduced, again)
    assert.deepEqual(info, measured)
    assert.deepEqual((await engine.verify({ bytes }, facts, [])).info, measured, 'with or without mezzanines')
  }
})

test('A level that is too large to keep is not made, and the others and the placeholders are the same', async () => {
  const bytes = await sharp(await fixture('mountains.jpg'))
    .resize(1600)
    .jpeg()
    .toBuffer()
  const facts = await engine.inspect({ bytes })
  const levels = mezzanineLevels(facts, 1)
  assert.deepEqual(levels, [480, 768])
  // Bytes after the end of the picture.
  const large = Buffer.concat([bytes, Buffer.alloc(2_000_000)])
  const [ofSmall, ofLarge] = [
    await engine.verify({ bytes }, facts, levels),
    await engine.verify({ bytes: large }, facts, levels),
  ]
  assert.deepEqual(
    ofLarge.reduced?.map(({ level }) => level),
    [480, 768],
  )
  assert.deepEqual(ofSmall, { reduced: ofLarge.reduced?.slice(0, 1), info: ofLarge.info })
  assert.deepEqual(ofSmall.reduced, await engine.reduce({ bytes }, facts, levels))
})

test('Without levels only the placeholders are made, and nothing of what one decoding does not verify', async () => {
  const bytes = await fixture('mountains.jpg')
  const { reduced, info } = await engine.verify({ bytes }, await engine.inspect({ bytes }), [])
  assert.deepEqual(reduced, [])
  assert.ok(info)
  for (const name of ['a JPEG of an unknown version of JFIF', 'a TIFF', 'an animation']) {
    const odd = (await ODD[name]?.()) ?? (await fixture('dandelion.gif'))
    assert.deepEqual(await accept(odd), {}, name)
  }
})
