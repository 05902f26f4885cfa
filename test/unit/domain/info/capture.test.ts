import assert from 'node:assert/strict'
import { test } from 'node:test'
import { captureOf, parsePlace, parseXmpPlace } from '../../../../src/domain/info/capture.ts'
import { saysPlace } from '../../../../src/domain/info/plain-value.ts'

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

const PLACES = [
  '51,28.6687N',
  '51,28,40.12N',
  '51°28\'40.12" N',
  '0,0.0885W',
  '+51.4778-000.0015/',
  '+512840.1-0000005.3+046CRSWGS_84/',
  '51.47781, -0.001475',
  'GPS: somewhere',
  'GPSLatitude=51.4',
  '{"lat": 51.4, "lng": 0}',
  'see geo:51.47,0.00',
  'Latitude: 51',
]
const OTHER_TEXTS = [
  'Mountains in the morning',
  '2026:05:04 06:07:08',
  '2026-05-04T06:07:08.25+02:00',
  '+02:00',
  '1/250',
  '24-70 mm f/2.8',
  'I lost my GPS in 12,500 m of snow',
  '4,3',
  'v1.2.3',
  '1.500, 2.500mm',
]
for (const text of PLACES) test(`"${text}" says a place`, () => assert.ok(saysPlace(text)))
for (const text of OTHER_TEXTS) test(`"${text}" says no place`, () => assert.ok(!saysPlace(text)))

test('A place on earth is rounded, and what is none is no place', () => {
  const place = { latitude: 51.477811111111, longitude: -0.001475, altitude: 46.123456 }
  assert.deepEqual(parsePlace(place.latitude, place.longitude, place.altitude), {
    latitude: 51.4778111,
    longitude: -0.001475,
    altitude: 46.12,
  })
  assert.deepEqual(parsePlace(0, 0, undefined), { latitude: 0, longitude: 0 })
  assert.deepEqual(parsePlace(-90, 180, 1e9), { latitude: -90, longitude: 180 })
  for (const [latitude, longitude] of [
    [91, 0],
    [0, 181],
    [Number.NaN, 0],
    ['51', 0],
    [undefined, undefined],
  ]) {
    assert.equal(parsePlace(latitude, longitude, 0), undefined)
  }
})

test('A place is read as XMP writes it', () => {
  const read = (latitude: unknown, longitude: unknown, altitude?: unknown, altitudeRef?: unknown) =>
    parseXmpPlace({ latitude, longitude, altitude, altitudeRef })
  assert.deepEqual(read('51,28.6687N', '0,0.0885W', '4612/100', '0'), {
    latitude: 51.4778117,
    longitude: -0.001475,
    altitude: 46.12,
  })
  assert.deepEqual(read('51,28,40.12S', '179,59,59.99E', '3', '1'), {
    latitude: -51.4778111,
    longitude: 179.9999972,
    altitude: -3,
  })
  for (const [latitude, longitude] of [
    ['51,28.6N', '51,28.6N'],
    ['51.5', '0.1'],
    ['91,0.0N', '0,0.0E'],
    [51, 0],
    [undefined, '0,0.0E'],
  ]) {
    assert.equal(read(latitude, longitude), undefined, String(latitude))
  }
  assert.deepEqual(read('1,0.0N', '1,0.0E', '5/0'), { latitude: 1, longitude: 1 })
})
