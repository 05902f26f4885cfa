import assert from 'node:assert/strict'
import { test } from 'node:test'
import { captureOf } from '../../../../src/domain/info/capture.ts'

const TIMES: Readonly<Record<string, readonly [Record<string, string>, string | undefined]>> = {
  'the camera’s own clock': [{ DateTimeOriginal: '2026:05:04 06:07:08' }, '2026-05-04T06:07:08'],
  'with an offset and parts of a second': [
    { DateTimeOriginal: '2026:05:04 06:07:08', OffsetTimeOriginal: '-03:30', SubSecTimeOriginal: '025' },
    '2026-05-04T06:07:08.025-03:30',
  ],
  'with an offset that is none': [
    { DateTimeOriginal: '2026:05:04 06:07:08', OffsetTimeOriginal: '   :  ', SubSecTimeOriginal: 'x' },
    '2026-05-04T06:07:08',
  ],
  'in a leap year': [{ DateTimeOriginal: '2024:02:29 00:00:00' }, '2024-02-29T00:00:00'],
  'on a day that there never was': [{ DateTimeOriginal: '2025:02:29 00:00:00' }, undefined],
  'in the thirteenth month': [{ DateTimeOriginal: '2025:13:01 00:00:00' }, undefined],
  'in the 25th hour': [{ DateTimeOriginal: '2025:12:01 25:00:00' }, undefined],
  'of a clock that was never set': [{ DateTimeOriginal: '0000:00:00 00:00:00' }, undefined],
  'of blanks': [{ DateTimeOriginal: '    :  :     :  :  ' }, undefined],
  'of another shape': [{ DateTimeOriginal: 'yesterday' }, undefined],
  'of the digitizing where none of the taking is': [
    { DateTimeOriginal: '0000:00:00 00:00:00', DateTimeDigitized: '2026:05:04 06:07:08' },
    '2026-05-04T06:07:08',
  ],
  'not of the last change of the file': [{ DateTime: '2026:05:04 06:07:08' }, undefined],
}
for (const [name, [exif, capturedAt]] of Object.entries(TIMES)) {
  test(`The time of the taking: ${name}`, () => assert.equal(captureOf({ exif }).capturedAt, capturedAt))
}

test('XMP tells the time where EXIF does not', () => {
  assert.equal(captureOf({ xmp: { CreateDate: '2026-05-04T06:07:08Z' } }).capturedAt, '2026-05-04T06:07:08Z')
  assert.equal(captureOf({ xmp: { DateCreated: '2026-05-04T06:07' } }).capturedAt, '2026-05-04T06:07')
  assert.equal(captureOf({ xmp: { DateCreated: '2026-05-04T06:07:99' } }).capturedAt, undefined)
})

test('A camera’s settings are numbers, and what is no setting is left out', () => {
  const exif = {
    Make: ' Darkroom ',
    ExposureTime: '10/2500',
    FNumber: '28/10',
    ISOSpeedRatings: [200, 0],
    FocalLength: '0/0',
    FocalLengthIn35mmFilm: 0,
  }
  assert.deepEqual(captureOf({ exif }).camera, { make: 'Darkroom', exposureTime: 0.004, fNumber: 2.8, iso: 200 })
  assert.equal('camera' in captureOf({ exif: { FNumber: '1/0', Make: '  ' } }), false)
})

test('Who made it and what it shows comes from EXIF, else from IPTC, else from XMP', () => {
  const exif = { Artist: 'E', Copyright: 'E', ImageDescription: 'E' }
  const iptc = { 'By-line': ['I', 'J'], 'Copyright Notice': 'I', 'Caption/Abstract': 'I' }
  const xmp = { creator: ['X', 'Y'], rights: { 'x-default': 'X', de: 'D' }, description: { de: 'D' } }
  assert.deepEqual(captureOf({ exif, iptc, xmp }), { artist: 'E', copyright: 'E', caption: 'E' })
  assert.deepEqual(captureOf({ iptc, xmp }), { artist: 'I, J', copyright: 'I', caption: 'I' })
  assert.deepEqual(captureOf({ xmp }), { artist: 'X, Y', copyright: 'X', caption: 'D' })
  assert.deepEqual(captureOf({}), {})
})

test('The short form is short', () => {
  assert.equal(captureOf({ exif: { Artist: 'x'.repeat(2000) } }).artist?.length, 500)
})
