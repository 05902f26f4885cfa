import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePlace, parseXmpPlace, saysPlace } from '../../../../src/domain/info/place.ts'

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
