import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SNIFF_BYTES, sniffFormat } from '../../../../src/domain/picture/sniff-format.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

/** The first box of an ISO base media file. */
function ftyp(major: string, ...compatible: string[]): Buffer {
  const box = bytes(`....ftyp${major}\0\0\0\0${compatible.join('')}`)
  box.writeUInt32BE(box.length)
  return Buffer.concat([box, bytes('....meta')])
}

const FORMATS = [
  ['a JPEG', bytes('\xff\xd8\xff\xe0\0\x10JFIF'), 'jpeg'],
  ['a JPEG that begins with EXIF', bytes('\xff\xd8\xff\xe1'), 'jpeg'],
  ['a PNG', bytes('\x89PNG\r\n\x1a\n\0\0\0\rIHDR'), 'png'],
  ['an old GIF', bytes('GIF87a'), 'gif'],
  ['a GIF', bytes('GIF89a'), 'gif'],
  ['a WebP', bytes('RIFF\x10\0\0\0WEBPVP8 '), 'webp'],
  ['an AVIF', ftyp('avif', 'mif1', 'miaf'), 'avif'],
  ['an AVIF by a compatible brand', ftyp('mif1', 'miaf', 'avif'), 'avif'],
  ['an animated AVIF', ftyp('avis', 'msf1'), 'avif'],
  ['a HEIC', ftyp('heic', 'mif1'), 'heif'],
  ['a HEIF of any codec', ftyp('mif1', 'miaf'), 'heif'],
  ['a TIFF of Intel', bytes('II*\0\x08\0\0\0'), 'tiff'],
  ['a TIFF of Motorola', bytes('MM\0*\0\0\0\x08'), 'tiff'],
  ['an SVG', bytes('<svg xmlns="http://www.w3.org/2000/svg">'), 'svg'],
  [
    'an SVG behind a prolog',
    bytes('\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --> <!-- b -->\n<!DOCTYPE svg>\n<SVG>'),
    'svg',
  ],
] as const
for (const [name, head, format] of FORMATS) {
  test(`The first bytes tell ${name}`, () => assert.equal(sniffFormat(head), format))
}

const OTHERS = {
  nothing: bytes(''),
  'half a magic number': bytes('\xff\xd8'),
  'a magic number that is not at the beginning': bytes(' GIF89a'),
  'a PNG whose line ends were changed': bytes('\x89PNG\n\x1a\n'),
  'a RIFF of sound': bytes('RIFF\x10\0\0\0WAVEfmt '),
  'a film': ftyp('isom', 'mp42'),
  'a film that has our brand behind its first box': Buffer.concat([ftyp('isom'), bytes('avif')]),
  'a box without a brand': bytes('\0\0\0\x08ftyp'),
  'a BMP': bytes('BM\x10\0\0\0'),
  'a PDF': bytes('%PDF-1.7'),
  'a web page': bytes('<!DOCTYPE html><html><body><svg></svg>'),
  'a web page that names SVG': bytes('<p><svg>'),
  'an element that only begins like SVG': bytes('<svgx>'),
  'a comment without an end': bytes('<!-- <svg>'),
} as const
for (const [name, head] of Object.entries(OTHERS)) {
  test(`${name} is no image`, () => assert.equal(sniffFormat(head), undefined))
}

test('What was made to keep the search for SVG busy is told in no time', () => {
  const began = performance.now()
  for (const text of ['<!---->', '<!-- ', '<!DOCTYPE>', ' ', '<?xml ', '<!--a-->\n']) {
    assert.equal(sniffFormat(bytes(text.repeat(SNIFF_BYTES)).subarray(0, SNIFF_BYTES)), undefined)
  }
  assert.ok(performance.now() - began < 1000)
})
