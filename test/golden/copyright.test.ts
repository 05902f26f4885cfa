import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { copyrightOf } from '../../src/adapters/sharp/metadata-reader.ts'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { exifBlock, xmpPacket } from '../../tools/pictures/metadata.ts'
import { createEngine, fixture, renderOne } from '../support/render.ts'

const OWNER = { copyright: 'Änne & Söhne © 2026 <all rights>', artist: '山田 太郎' }

/** Turned on its side, with a place, a camera and an owner. */
async function owned(): Promise<Buffer> {
  const exif = {
    IFD0: { Copyright: 'A. Nobody', Artist: 'B. Nobody', Make: 'Secret', Software: 'Secret' },
    IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 28/1 4012/100' },
  }
  return await sharp(await fixture('mountains-orientation-6.jpg'))
    .withExif(exif)
    .jpeg()
    .toBuffer()
}

async function renderOwned(bytes: Buffer, format: (typeof OUTPUT_FORMATS)[number], keepCopyright: boolean) {
  const engine = createEngine({ keepCopyright })
  const source = { bytes }
  const facts = await engine.inspect(source)
  const plan = planTransform(parseSpec('120w'), facts, format, 1000)
  return { made: await renderOne(engine, source, plan), facts }
}

for (const format of OUTPUT_FORMATS) {
  test(`Copyright and artist are kept in ${format} if that is set, and nothing else ever is`, async () => {
    const bytes = await owned()
    const original = await sharp(bytes).metadata()
    assert.ok(original.orientation === 6 && original.exif?.includes('Secret'))
    for (const keepCopyright of [true, false]) {
      const { made } = await renderOwned(bytes, format, keepCopyright)
      const metadata = await sharp(made).metadata()
      const expected = keepCopyright && format !== 'gif' ? { copyright: 'A. Nobody', artist: 'B. Nobody' } : {}
      assert.deepEqual(copyrightOf(metadata), expected)
      assert.deepEqual(
        [metadata.exif, metadata.iptc, metadata.icc, metadata.orientation],
        [undefined, undefined, undefined, undefined],
      )
      assert.deepEqual([metadata.width, metadata.height], [120, 90], 'upright')
      assert.doesNotMatch(made.toString('latin1'), /Secret|GPS|Exif/)
    }
  })
}

test('A picture of ours gives back the copyright that it carries, in any script', async () => {
  const xmp = xmpPacket(`<dc:creator><rdf:Seq><rdf:li>${OWNER.artist}</rdf:li></rdf:Seq></dc:creator>
    <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">Änne &amp; Söhne © 2026 &lt;all rights&gt;</rdf:li></rdf:Alt></dc:rights>
    <exif:GPSLatitude>51,28.6687N</exif:GPSLatitude>`)
  const bytes = await sharp(await fixture('mountains.jpg'))
    .withXmp(xmp)
    .jpeg()
    .toBuffer()
  assert.deepEqual(copyrightOf(await sharp(bytes).metadata()), OWNER)
  const { made, facts } = await renderOwned(bytes, 'webp', true)
  assert.deepEqual(copyrightOf(await sharp(made).metadata()), OWNER)
  assert.doesNotMatch(made.toString('latin1'), /GPS|51,28/)
  const [reduced] = await createEngine().reduce({ bytes }, facts, [768])
  assert.ok(reduced)
  assert.deepEqual(copyrightOf(await sharp(reduced.bytes).metadata()), OWNER)
  assert.doesNotMatch(reduced.bytes.toString('latin1'), /GPS|51,28/)
})

const BROKEN = {
  'of nothing': Buffer.alloc(0),
  'of half a header': Buffer.from('Exif\0\0II*'),
  'whose directory is beyond its end': Buffer.from('MM\0*\x7f\xff\xff\xff', 'latin1'),
  'whose text is beyond its end': Buffer.from(
    'MM\0*\0\0\0\x08\0\x01\x82\x98\0\x02\x7f\xff\xff\xff\x7f\xff\xff\xff',
    'latin1',
  ),
  'of zeros': Buffer.alloc(4096),
  'of ones': Buffer.alloc(4096, 'II*\0\xff\xff\xff\xff', 'latin1'),
} as const
for (const [name, exif] of Object.entries(BROKEN)) {
  test(`EXIF ${name} has no copyright`, () => assert.deepEqual(copyrightOf({ exif }), {}))
}

test('A copyright is cut at 500 letters, and only its first lines of XMP are read', () => {
  const xmp = (text: string) =>
    Buffer.from(xmpPacket(`<dc:rights><rdf:Alt><rdf:li>${text}</rdf:li></rdf:Alt></dc:rights>`))
  assert.equal(copyrightOf({ xmp: xmp('x'.repeat(5000)) }).copyright?.length, 500)
  assert.deepEqual(copyrightOf({ xmp: Buffer.concat([Buffer.alloc(70_000, ' '), xmp('late')]) }), {})
})

test('XMP is read as XML: with another prefix, numeric references and several creators', () => {
  const xmp = Buffer.from(
    `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
      xmlns:d="http://purl.org/dc/elements/1.1/"><rdf:Description rdf:about="">
      <d:creator><rdf:Seq><rdf:li>A. One</rdf:li><rdf:li>B. Two</rdf:li></rdf:Seq></d:creator>
      <d:rights><rdf:Alt><rdf:li xml:lang="de">falsch</rdf:li><rdf:li xml:lang="x-default">&#xA9; S&#246;hne</rdf:li></rdf:Alt></d:rights>
    </rdf:Description></rdf:RDF></x:xmpmeta>`,
  )
  assert.deepEqual(copyrightOf({ xmp }), { copyright: '© Söhne', artist: 'A. One, B. Two' })
})

test('Control characters of a text are left out, which XML does not allow', () => {
  const bytes = Buffer.from('A.\x07 One\0B. Two\0')
  const exif = exifBlock([{ tag: 0x8298, type: 2, count: bytes.length, bytes }])
  assert.deepEqual(copyrightOf({ exif }), { copyright: 'A.  One, B. Two' })
})
