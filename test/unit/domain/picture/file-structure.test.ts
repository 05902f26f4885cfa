import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { SNIFF_BYTES, sniffFormat, walkGif } from '../../../../src/domain/picture/file-structure.ts'

const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** The first box of an ISO base media file. */
function ftyp(major: string, ...compatible: string[]): Buffer {
  const box = latin1(`....ftyp${major}\0\0\0\0${compatible.join('')}`)
  box.writeUInt32BE(box.length)
  return Buffer.concat([box, latin1('....meta')])
}

const FORMATS = [
  ['a JPEG', latin1('\xff\xd8\xff\xe0\0\x10JFIF'), 'jpeg'],
  ['a JPEG that begins with EXIF', latin1('\xff\xd8\xff\xe1'), 'jpeg'],
  ['a PNG', latin1('\x89PNG\r\n\x1a\n\0\0\0\rIHDR'), 'png'],
  ['an old GIF', latin1('GIF87a'), 'gif'],
  ['a GIF', latin1('GIF89a'), 'gif'],
  ['a WebP', latin1('RIFF\x10\0\0\0WEBPVP8 '), 'webp'],
  ['an AVIF', ftyp('avif', 'mif1', 'miaf'), 'avif'],
  ['an AVIF by a compatible brand', ftyp('mif1', 'miaf', 'avif'), 'avif'],
  ['an animated AVIF', ftyp('avis', 'msf1'), 'avif'],
  ['a HEIC', ftyp('heic', 'mif1'), 'heif'],
  ['a HEIF of any codec', ftyp('mif1', 'miaf'), 'heif'],
  ['a TIFF of Intel', latin1('II*\0\x08\0\0\0'), 'tiff'],
  ['a TIFF of Motorola', latin1('MM\0*\0\0\0\x08'), 'tiff'],
  ['an SVG', latin1('<svg xmlns="http://www.w3.org/2000/svg">'), 'svg'],
  [
    'an SVG behind a prolog',
    latin1('\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --> <!-- b -->\n<!DOCTYPE svg>\n<SVG>'),
    'svg',
  ],
] as const
for (const [name, head, format] of FORMATS) {
  test(`The first bytes tell ${name}`, () => assert.equal(sniffFormat(head), format))
}

const OTHERS = {
  nothing: latin1(''),
  'half a magic number': latin1('\xff\xd8'),
  'a magic number that is not at the beginning': latin1(' GIF89a'),
  'a PNG whose line ends were changed': latin1('\x89PNG\n\x1a\n'),
  'a RIFF of sound': latin1('RIFF\x10\0\0\0WAVEfmt '),
  'a film': ftyp('isom', 'mp42'),
  'a film that has our brand behind its first box': Buffer.concat([ftyp('isom'), latin1('avif')]),
  'a box without a brand': latin1('\0\0\0\x08ftyp'),
  'a BMP': latin1('BM\x10\0\0\0'),
  'a PDF': latin1('%PDF-1.7'),
  'a web page': latin1('<!DOCTYPE html><html><body><svg></svg>'),
  'a web page that names SVG': latin1('<p><svg>'),
  'an element that only begins like SVG': latin1('<svgx>'),
  'a comment without an end': latin1('<!-- <svg>'),
} as const
for (const [name, head] of Object.entries(OTHERS)) {
  test(`${name} is no image`, () => assert.equal(sniffFormat(head), undefined))
}

test('What was made to keep the search for SVG busy is told in no time', () => {
  const began = performance.now()
  for (const text of ['<!---->', '<!-- ', '<!DOCTYPE>', ' ', '<?xml ', '<!--a-->\n']) {
    assert.equal(sniffFormat(latin1(text.repeat(SNIFF_BYTES)).subarray(0, SNIFF_BYTES)), undefined)
  }
  assert.ok(performance.now() - began < 1000)
})

function isWhole(bytes: Buffer): boolean {
  const walk = walkGif()
  let step = walk.next()
  while (!step.done) step = walk.next(bytes[step.value])
  return step.value
}

const GIF = await readFile(new URL('../../../fixtures/dandelion.gif', import.meta.url))
const HEADER = 'GIF89a\x01\0\x01\0\0\0\0'
const IMAGE = ',\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0'
const COMMENT = '!\xfe\x05hello\x03you\0'
const gif = (text: string) => Buffer.from(text, 'latin1')

test('A GIF is whole up to its trailer, whatever follows', () => {
  assert.ok(isWhole(GIF))
  assert.ok(isWhole(Buffer.concat([GIF, Buffer.from('what follows')])))
  assert.ok(isWhole(gif(`${HEADER}${COMMENT}${IMAGE}${COMMENT};`)))
})

test('A GIF that lacks no more than its trailer is as good as whole', () => {
  assert.ok(isWhole(GIF.subarray(0, -1)))
  assert.ok(isWhole(gif(`${HEADER}${IMAGE}\0\0`)))
})

test('A GIF with palettes of its own for the screen and an image is walked over them', () => {
  const palette = '\0'.repeat(12)
  const ownPalette = IMAGE.replace('\x01\0\0\x02\x02', `\x01\0\x81${palette}\x02\x02`)
  const bytes = gif(`GIF89a\x01\0\x01\0\x81\0\0${palette}${ownPalette};`)
  assert.ok(isWhole(bytes))
  assert.ok(!isWhole(bytes.subarray(0, -3)))
})

test('A GIF that ends within a block, or has no image, is not whole', () => {
  for (const text of ['', 'GIF89a', HEADER, `${HEADER};`, `${HEADER}${COMMENT};`, `${HEADER}${IMAGE.slice(0, -1)}`]) {
    assert.ok(!isWhole(gif(text)), JSON.stringify(text))
  }
})

test('A walk over anything at all ends, and looks at no byte twice', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.boolean(), (noise, spoil) => {
      const bytes = spoil ? Buffer.concat([GIF.subarray(0, 1000), noise]) : Buffer.from(noise)
      let last = -1
      const walk = walkGif()
      for (let step = walk.next(); !step.done; step = walk.next(bytes[step.value])) {
        assert.ok(step.value > last)
        last = step.value
      }
    }),
  )
})
