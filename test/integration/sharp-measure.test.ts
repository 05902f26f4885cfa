import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, isBlurhashValid } from 'blurhash'
import sharp from 'sharp'
import { thumbHashToRGBA } from 'thumbhash'
import { formatInfo, type ImageInfo, parseInfo } from '../../src/domain/info/image-info.ts'
import {
  exifBlock,
  iptcBlock,
  PLACE_TRACES,
  wellDescribed,
  withSegment,
  xmpPacket,
} from '../../tools/pictures/metadata.ts'
import { assertAlike, perceive } from '../../tools/pictures/perceive.ts'
import { createEngine, fixture } from '../support/render.ts'

const engine = createEngine()

async function measure(bytes: Buffer): Promise<ImageInfo> {
  const source = { bytes }
  const info = await engine.measure(source, await engine.inspect(source))
  assert.deepEqual(parseInfo(formatInfo(info)), info)
  return info
}

const PICTURES = {
  'mountains.jpg': { colorSpace: 'rgb', bitsPerSample: 8, orientation: 1, stored: { width: 1200, height: 900 } },
  'mountains-orientation-6.jpg': {
    colorSpace: 'rgb',
    iccProfile: 'sRGB',
    bitsPerSample: 8,
    orientation: 6,
    stored: { width: 900, height: 1200 },
  },
  'brushes-p3.jpg': { iccProfile: 'sP3C', stored: { width: 640, height: 480 } },
  'fig-cmyk.jpg': { colorSpace: 'cmyk', bitsPerSample: 8, stored: { width: 240, height: 180 } },
  'fig-alpha.png': { colorSpace: 'rgb', bitsPerSample: 8, stored: { width: 240, height: 180 } },
  'dandelion.gif': { colorSpace: 'rgb', animation: { durationMs: 1000, loop: 0 }, stored: { width: 160, height: 90 } },
  'stream.webp': { colorSpace: 'rgb', bitsPerSample: 8, stored: { width: 640, height: 480 } },
  'stream.avif': { colorSpace: 'rgb', bitsPerSample: 8, stored: { width: 640, height: 480 } },
  'dogs-grey.jpg': { colorSpace: 'gray', bitsPerSample: 8, stored: { width: 480, height: 640 } },
} as const
for (const [name, expected] of Object.entries(PICTURES)) {
  test(`${name}: what its header says is told, and its placeholders look like it`, async () => {
    const bytes = await fixture(name)
    const { picture } = await measure(bytes)
    assert.deepEqual({ ...picture, ...expected }, picture)
    assert.equal('iccProfile' in picture, 'iccProfile' in expected)
    assert.equal('animation' in picture, 'animation' in expected)
    for (const placeholder of [await thumbHashPicture(picture.thumbHash), await blurHashPicture(picture.blurHash)]) {
      const apart = await coarseDistance(placeholder, bytes)
      assert.ok(apart < 28, `${apart.toFixed(1)} apart`)
      const turned = await sharp(bytes).autoOrient().rotate(180).png().toBuffer()
      assert.ok(apart < (await coarseDistance(placeholder, turned)), 'nearer than the same picture upside down')
    }
  })
}

test('An upright picture and the same one stored on its side are measured alike', async () => {
  const one = (await measure(await fixture('mountains.jpg'))).picture
  const other = (await measure(await fixture('mountains-orientation-6.jpg'))).picture
  assert.ok(bitsApart(one.perceptualHash, other.perceptualHash) <= 4)
  await assertAlike(await thumbHashPicture(one.thumbHash), await thumbHashPicture(other.thumbHash), 3)
  await assertAlike(await blurHashPicture(one.blurHash), await blurHashPicture(other.blurHash), 3)
})

test('ThumbHash keeps the shape and what is transparent', async () => {
  const { thumbHash } = (await measure(await fixture('fig-alpha.png'))).picture
  const { w, h, rgba } = thumbHashToRGBA(Buffer.from(thumbHash, 'base64'))
  assert.ok(Math.abs(w / h - 4 / 3) < 0.15)
  assert.ok((rgba[3] ?? 255) < 64, 'a corner')
  assert.ok((rgba[(Math.floor(h / 2) * w + Math.floor(w / 2)) * 4 + 3] ?? 0) > 192, 'the middle')
})

test('The perceptual hash stays within 6 of 64 bits when a picture is shrunk and compressed, and others are 16 away', async () => {
  const names = ['mountains.jpg', 'brushes-p3.jpg', 'fig-cmyk.jpg', 'stream.webp', 'dogs-grey.jpg', 'dandelion.gif']
  const hashes: string[] = []
  for (const name of names) {
    const bytes = await fixture(name)
    const { perceptualHash } = (await measure(bytes)).picture
    for (const width of [400, 150]) {
      const smaller = sharp(bytes).resize({ width, withoutEnlargement: true })
      for (const copy of [smaller.clone().jpeg({ quality: 40 }), smaller.clone().webp({ quality: 30 })]) {
        const apart = bitsApart((await measure(await copy.toBuffer())).picture.perceptualHash, perceptualHash)
        assert.ok(apart <= 6, `${name} at ${width}: ${apart} bits`)
      }
    }
    for (const other of hashes) assert.ok(bitsApart(other, perceptualHash) >= 16, `${name}: ${perceptualHash} ${other}`)
    hashes.push(perceptualHash)
  }
})

test('The dominant colour is the one that most of the picture has, and nothing of what is transparent', async () => {
  const flag = { width: 90, height: 60, channels: 4, background: { r: 0, g: 0, b: 255, alpha: 0 } } as const
  const stripe = (width: number, colour: string) =>
    sharp({ create: { width, height: 60, channels: 3, background: colour } })
      .png()
      .toBuffer()
  const picture = sharp({ create: flag }).composite([
    { input: await stripe(20, '#c82814'), left: 0, top: 0 },
    { input: await stripe(10, '#14c828'), left: 40, top: 0 },
  ])
  const { dominantColor } = (await measure(await picture.png().toBuffer())).picture
  assert.equal(dominantColor, '#c82814')
})

test('A deep picture is told in bits, and its colours are those of any rendition', async () => {
  const deep = await sharp(await fixture('mountains.jpg'))
    .toColourspace('rgb16')
    .withIccProfile('p3')
    .png()
    .toBuffer()
  const { picture } = await measure(deep)
  assert.deepEqual([picture.bitsPerSample, picture.colorSpace, picture.iccProfile], [16, 'rgb', 'sP3C'])
  assert.ok((await coarseDistance(await thumbHashPicture(picture.thumbHash), await fixture('mountains.jpg'))) < 20)
})

for (const [width, height] of [
  [1, 1],
  [1, 500],
  [3000, 1],
] as const) {
  test(`A picture of ${width}x${height} has all of its hashes`, async () => {
    const create = { width, height, channels: 3, background: '#336699' } as const
    const { picture } = await measure(await sharp({ create }).png().toBuffer())
    assert.equal(picture.dominantColor, '#336699')
    assert.equal(picture.perceptualHash, '0000000000000000')
    assert.ok(isBlurhashValid(picture.blurHash).result)
    assert.ok(thumbHashToRGBA(Buffer.from(picture.thumbHash, 'base64')).rgba.length > 0)
  })
}

for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) {
  test(`EXIF and XMP of a ${format} are read, and no place but in its own field`, async () => {
    const described = sharp(await wellDescribed(await fixture('mountains.jpg'))).resize(200)
    const { capture, place, picture } = await measure(
      await described.keepExif().keepXmp().keepIccProfile().toFormat(format).toBuffer(),
    )
    assert.equal(picture.iccProfile, 'sP3C')
    const { metadata, ...short } = capture
    assert.deepEqual(short, {
      capturedAt: '2026-05-04T06:07:08.25+02:00',
      camera: {
        make: 'Darkroom',
        model: 'Fixture One',
        lens: 'Fixture 50mm F1.8',
        exposureTime: 0.004,
        fNumber: 2.8,
        iso: 200,
        focalLength: 50,
        focalLengthIn35mm: 75,
      },
      artist: 'A. Photographer',
      copyright: '2026 A. Photographer',
      caption: 'Mountains in the morning',
    })
    const { exif = {}, xmp } = metadata
    assert.equal(exif['ExposureTime'], '1/250')
    assert.equal(exif['FNumber'], '28/10')
    assert.equal(exif['DateTimeOriginal'], '2026:05:04 06:07:08')
    assert.equal(exif['ExifVersion'], '0210')
    assert.deepEqual(xmp, { Rating: '4', subject: ['alps', 'dawn'], title: { 'x-default': 'Dawn', de: 'Morgen' } })
    assert.doesNotMatch(JSON.stringify([capture, picture]), PLACE_TRACES)
    assert.deepEqual(place, { latitude: 51.4778111, longitude: -0.001475, altitude: 46.12 })
  })
}

test('A place that only XMP tells is read, and told nowhere else', async () => {
  const elements = '<exif:GPSLatitude>51,28.6687N</exif:GPSLatitude><exif:GPSLongitude>0,0.0885W</exif:GPSLongitude>'
  const altitude = 'exif:GPSAltitude="4612/100" exif:GPSAltitudeRef="0"'
  const described = sharp(await fixture('mountains.jpg'))
    .resize(200)
    .withXmp(xmpPacket(elements, altitude))
  const { capture, place } = await measure(await described.jpeg().toBuffer())
  assert.deepEqual(place, { latitude: 51.4778117, longitude: -0.001475, altitude: 46.12 })
  assert.deepEqual(capture.metadata.xmp ?? {}, {})
})

test('A place in tags that are on no list is told nowhere: GeoTIFF, unknown tags, structures, tags of vendors', async () => {
  const doubles = Buffer.alloc(48)
  for (const [at, value] of [0, 0, 0, -0.001475, 51.4778, 0].entries()) doubles.writeDoubleLE(value, at * 8)
  const exif = exifBlock([
    { tag: 0x010f, type: 2, count: 9, bytes: Buffer.from('Darkroom\0') },
    { tag: 0x8482, type: 12, count: 6, bytes: doubles },
    { tag: 0x8480, type: 12, count: 6, bytes: doubles },
    { tag: 0xa480, type: 2, count: 16, bytes: Buffer.from('<x>51.4778,0</x>') },
    { tag: 0xc123, type: 2, count: 8, bytes: Buffer.from('51.4778\0') },
  ])
  const xmp = xmpPacket(
    `<dc:coverage>51.4778</dc:coverage><dc:title rdf:parseType="Resource"><dc:n>51.4778</dc:n></dc:title>
     <dc:subject><rdf:Bag><rdf:li>alps</rdf:li><rdf:li rdf:parseType="Resource"><dc:n>51.4778</dc:n></rdf:li></rdf:Bag>
     </dc:subject>`,
    'drone-dji:CamReverse="51.4778"',
  )
  const { capture } = await measure(withXmp(withExif(await fixture('mountains.jpg'), exif), xmp))
  assert.deepEqual(capture.metadata, { exif: { Make: 'Darkroom' }, xmp: { subject: ['alps'] } })
})

test('IPTC of a JPEG is read', async () => {
  const { capture } = await measure(await wellDescribed(await fixture('mountains.jpg')))
  const { iptc = {} } = capture.metadata
  assert.deepEqual(iptc['Keywords'], ['mountain', 'Größe'])
  assert.equal(iptc['By-line'], 'A. Photographer')
  assert.equal(iptc['Headline'], 'Headline')
})

test('Texts of EXIF may be UTF-8, whatever the standard says', async () => {
  const text = Buffer.from('Änne Größe 山田\0')
  const exif = exifBlock([{ tag: 0x013b, type: 2, count: text.length, bytes: text }])
  const { capture } = await measure(withExif(await fixture('mountains.jpg'), exif))
  assert.equal(capture.artist, 'Änne Größe 山田')
})

const LONG = 'x'.repeat(60_000)
const HOSTILE: Readonly<Record<string, (jpeg: Buffer) => Buffer>> = {
  'EXIF of nothing': (jpeg) => withExif(jpeg, Buffer.alloc(0)),
  'EXIF of zeros': (jpeg) => withExif(jpeg, Buffer.alloc(4000)),
  'EXIF of ones': (jpeg) => withExif(jpeg, Buffer.alloc(4000, 'II*\0\xff\xff\xff\xff', 'latin1')),
  'EXIF that is its own directory': (jpeg) => withExif(jpeg, Buffer.from('II*\0\0\0\0\0', 'latin1')),
  'EXIF whose thousands of entries all tell the same 16 kilobytes': (jpeg) => {
    const entries = Array.from({ length: 3500 }, () => ({
      tag: 0x010e,
      type: 2,
      count: 16_000,
      bytes: Buffer.alloc(4),
    }))
    return withExif(jpeg, Buffer.concat([exifBlock(entries), Buffer.alloc(16_000, 'y')]))
  },
  'a text that is longer than all may be': (jpeg) =>
    withExif(jpeg, exifBlock([{ tag: 0x010e, type: 2, count: LONG.length, bytes: Buffer.from(LONG) }])),
  'texts that are no UTF-8, hold NUL and control characters': (jpeg) => {
    const bytes = Buffer.from('\xff\xfe\x80a\0b\x1b[31m\x07\u0085', 'latin1')
    return withExif(jpeg, exifBlock([{ tag: 0x010f, type: 2, count: bytes.length, bytes }]))
  },
  'XMP with a bomb of entities': (jpeg) => {
    const bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    return withXmp(jpeg, bomb + xmpPacket('<dc:source>&b;</dc:source>'))
  },
  'XMP with thousands of levels': (jpeg) => withXmp(jpeg, xmpPacket('<dc:source>'.repeat(2300))),
  'closed XMP with thousands of levels': (jpeg) =>
    withXmp(jpeg, xmpPacket(`${'<dc:source>'.repeat(2300)}${'</dc:source>'.repeat(2300)}`)),
  'XMP with thousands of members': (jpeg) =>
    withXmp(
      jpeg,
      xmpPacket(Array.from({ length: 1500 }, (_, at) => `<dc:n${at}>${at}-some value</dc:n${at}>`).join('')),
    ),
  'XMP with names that harm': (jpeg) =>
    withXmp(
      jpeg,
      xmpPacket(
        '<dc:__proto__ rdf:parseType="Resource"><dc:polluted>1</dc:polluted></dc:__proto__><dc:constructor>1</dc:constructor>',
        'dc:prototype="1"',
      ),
    ),
  'XMP that ends thousands of times': (jpeg) => withXmp(jpeg, `${xmpPacket('')}${'<?xpacket end=""?>'.repeat(3000)}\n`),
  'XMP that begins thousands of times': (jpeg) => withXmp(jpeg, `${'<?xpacket begin '.repeat(3900)}\n`),
  'XMP without an end': (jpeg) => withXmp(jpeg, '<?xpacket begin="" ?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'),
  'IPTC of 40000 keywords': (jpeg) =>
    withSegment(jpeg, 0xed, iptcBlock(Array.from({ length: 9000 }, (_, at) => [25, String(at % 10)] as const))),
  'IPTC that says more than it has': (jpeg) =>
    withSegment(
      jpeg,
      0xed,
      Buffer.from('Photoshop 3.0\x008BIM\x04\x04\0\0\x7f\xff\xff\xff\x1c\x02\x50\xff\xff', 'latin1'),
    ),
  'a profile that is none': (jpeg) =>
    withSegment(jpeg, 0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01'), Buffer.alloc(300, 'acsp')])),
}
for (const [name, make] of Object.entries(HOSTILE)) {
  test(`A good picture with ${name} is measured all the same, in little time and room`, async () => {
    const jpeg = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#336699' } })
      .jpeg()
      .toBuffer()
    const began = process.cpuUsage()
    const info = await measure(make(jpeg))
    const { user } = process.cpuUsage(began)
    const json = formatInfo(info)
    assert.ok(user < 3_000_000, `${user} microseconds`)
    assert.ok(Buffer.byteLength(json) <= 65_536, `${Buffer.byteLength(json)} bytes`)
    assert.ok(json.isWellFormed())
    // Escaped or not, and but for the line ends.
    assert.doesNotMatch(json, /\\u00[01]|\\u007f|\p{Cc}/u)
    assert.doesNotMatch(json, /__proto__|constructor|prototype/)
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
    assert.match(info.picture.dominantColor, /^#3[234]6[567]9[89a]$/)
  })
}

test('What had to be left out for its size is owned up to', async () => {
  const jpeg = await fixture('mountains.jpg')
  const text = (length: number) =>
    withExif(jpeg, exifBlock([{ tag: 0x010e, type: 2, count: length, bytes: Buffer.alloc(length, 'x') }]))
  assert.equal((await measure(text(60_000))).capture.metadataCut, true)
  assert.equal((await measure(text(60))).capture.metadataCut, undefined)
  const packet = xmpPacket(`<dc:source>${'x'.repeat(80_000)}</dc:source>`)
  const png = await sharp(jpeg).resize(64).withXmp(packet).png().toBuffer()
  assert.deepEqual((await measure(png)).capture, { metadata: {}, metadataCut: true }, 'too large to be read')
})

function withExif(jpeg: Buffer, tiff: Buffer): Buffer {
  return withSegment(jpeg, 0xe1, Buffer.concat([Buffer.from('Exif\0\0'), tiff]))
}

function withXmp(jpeg: Buffer, packet: string): Buffer {
  return withSegment(jpeg, 0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${packet}`))
}

/** How far apart two pictures look if all that is finer than a quarter of a side is left out, as in a placeholder. 0-255. */
async function coarseDistance(one: Buffer, other: Buffer): Promise<number> {
  const [first, second] = [await coarse(one), await coarse(other)]
  return first.reduce((sum, value, at) => sum + Math.abs(value - (second[at] ?? 0)), 0) / first.length
}

async function coarse(bytes: Buffer): Promise<readonly number[]> {
  const fine = await perceive(bytes)
  const means = Array.from({ length: 4 * 4 * 3 }, () => 0)
  for (const [at, value] of fine.entries()) {
    const [pixel, channel] = [Math.floor(at / 3), at % 3]
    const block = Math.floor(pixel / 64) * 4 + Math.floor((pixel % 16) / 4)
    means[block * 3 + channel] = (means[block * 3 + channel] ?? 0) + value / 16
  }
  return means
}

async function thumbHashPicture(hash: string): Promise<Buffer> {
  const { w: width, h: height, rgba } = thumbHashToRGBA(Buffer.from(hash, 'base64'))
  return await sharp(rgba, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer()
}

async function blurHashPicture(hash: string): Promise<Buffer> {
  const pixels = new Uint8Array(decode(hash, 32, 32))
  return await sharp(pixels, { raw: { width: 32, height: 32, channels: 4 } })
    .png()
    .toBuffer()
}

function bitsApart(one: string, other: string): number {
  assert.match(`${one} ${other}`, /^[0-9a-f]{16} [0-9a-f]{16}$/)
  return (BigInt(`0x${one}`) ^ BigInt(`0x${other}`)).toString(2).replaceAll('0', '').length
}
