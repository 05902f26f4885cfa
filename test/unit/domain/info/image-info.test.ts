import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  differenceHash,
  dominantColour,
  formatInfo,
  imageInfo,
  parseInfo,
  SHOWN_TAGS,
  shownTags,
  visibleInfo,
} from '../../../../src/domain/info/image-info.ts'
import { FACTS, MEASURED } from '../../../support/memory-engine.ts'

const TAKEN = {
  ...MEASURED,
  iccProfile: 'Display P3\0',
  metadata: { exif: { Make: 'Darkroom', GPSLatitude: '51/1' }, iptc: {} },
  metadataCut: false,
  place: { latitude: 1, longitude: 2 },
} as const
const INFO = imageInfo(FACTS, TAKEN)

test('An info is read back as it was written', () => {
  assert.deepEqual(parseInfo(formatInfo(INFO)), INFO)
  assert.deepEqual(INFO.capture, { camera: { make: 'Darkroom' }, metadata: { exif: { Make: 'Darkroom' } } })
  assert.equal(INFO.picture.iccProfile, 'Display P3')
})

for (const text of [
  '',
  'null',
  '[]',
  '{}',
  '{"picture":{},"capture":{}}',
  '{"picture":null,"capture":null}',
  '{"pic',
]) {
  test(`${JSON.stringify(text)} is no info`, () => assert.equal(parseInfo(text), undefined))
}

test('A place is seen by those who hold a token where that is set, and by nobody else', () => {
  for (const isTrusted of [true, false]) {
    for (const showGps of [true, false]) {
      const seen = visibleInfo(INFO, { isTrusted, showGps })
      assert.equal('gps' in seen, isTrusted && showGps)
      assert.equal('metadata' in seen, isTrusted)
      assert.equal('camera' in seen, isTrusted)
      assert.equal('thumbHash' in seen, true)
      assert.equal('place' in seen, false)
    }
  }
})

test('The largest info that there can be is read back', () => {
  const text = '山'.repeat(3000)
  const group = (names: readonly string[], shown: ReadonlySet<string>) =>
    Object.fromEntries([...names, ...shown].map((name) => [name, text]))
  const metadata = {
    exif: group(['Make', 'Model', 'LensModel', 'Artist'], SHOWN_TAGS.exif),
    iptc: group(['Copyright Notice', 'Caption/Abstract'], SHOWN_TAGS.iptc),
    xmp: group(['title'], SHOWN_TAGS.xmp),
  }
  const info = imageInfo(FACTS, { ...TAKEN, metadata, iccProfile: text })
  assert.equal(info.capture.metadataCut, true)
  assert.equal(info.capture.caption?.length, 500)
  const bytes = Buffer.byteLength(formatInfo(info))
  assert.ok(bytes > 45_000 && bytes <= 65_536, `${bytes}`)
})

test('dHash: a bit for each pixel that is darker than its right neighbour, from the top left', () => {
  const rising = Uint8Array.from({ length: 72 }, (_, at) => (at % 9) * 10)
  assert.equal(differenceHash(rising), 'ffffffffffffffff')
  assert.equal(differenceHash(rising.toReversed()), '0000000000000000')
  const first = new Uint8Array(72).fill(5)
  first[0] = 4
  assert.equal(differenceHash(first), '8000000000000000')
  const last = new Uint8Array(72).fill(5)
  last[71] = 6
  assert.equal(differenceHash(last), '0000000000000001')
})

test('The dominant colour is the mean of the fullest box, weighed by opacity', () => {
  const pixels = (...colours: readonly (readonly number[])[]) => Uint8Array.from(colours.flat())
  assert.equal(dominantColour(pixels([16, 32, 48, 255], [18, 34, 50, 255], [200, 0, 0, 255])), '#112131')
  assert.equal(dominantColour(pixels([16, 32, 48, 10], [16, 32, 48, 10], [200, 0, 0, 255])), '#c80000')
  assert.equal(dominantColour(pixels([200, 0, 0, 0])), '#000000')
})

const GROUPS = ['exif', 'iptc', 'xmp'] as const

const PLACE_NAMES = [
  'GPSLatitude',
  'GPS Info IFD Pointer',
  'GpsLongtitude',
  'gps',
  'DestLatitude',
  'RelativeAltitude',
  'AbsoluteAltitude',
  'GeoURI',
  'geo:lat',
  'lat',
  'Lon',
  'x-lng',
  'LocationCreated',
  'Sub-location',
  'PlaceName',
  'Coordinates',
  'MakerNote',
  'Maker Note',
  'InteroperabilityVersion',
  // Without a word for a place in their names.
  'ModelTiePoint',
  'ModelTransform',
  'GDALMetadata',
  'coverage',
  'Pressure',
  'CameraYaw',
  'undefined-50341',
  '__proto__',
  'constructor',
]
for (const name of PLACE_NAMES) {
  test(`${name} is shown in no group, with or without a location`, () => {
    const group = Object.fromEntries([[name, 51.4778]])
    const metadata = { exif: group, iptc: group, xmp: group }
    const info = imageInfo(FACTS, {
      ...MEASURED,
      metadata,
      metadataCut: false,
      place: { latitude: 51.4778, longitude: 0 },
    })
    for (const showGps of [true, false]) {
      const seen = visibleInfo(info, { isTrusted: true, showGps })
      assert.deepEqual('metadata' in seen && seen.metadata, {})
      assert.equal(JSON.stringify(seen).includes('51.4778'), showGps, 'in its own field if the setting allows it')
    }
  })
}

const SHOWN_NAMES = {
  exif: ['YCbCrPositioning', 'Make', 'Model', 'Flash', 'FlashpixVersion', 'DateTimeOriginal', 'Orientation'],
  iptc: ['Caption/Abstract', 'By-line', 'Keywords', 'City', 'Country/Primary Location Name'],
  xmp: ['AltTextAccessibility', 'Rating', 'subject', 'title', 'City', 'AuthorsPosition', 'Make', 'DateTimeOriginal'],
} as const
for (const name of GROUPS) {
  test(`The group ${name} shows ${SHOWN_NAMES[name].join(', ')}`, () => {
    const group = Object.fromEntries(SHOWN_NAMES[name].map((tag) => [tag, 'text']))
    assert.deepEqual(shownTags(name, group), group)
  })

  test(`The group ${name} has only tags of its list, whatever the file says`, () => {
    const tag = fc.oneof(fc.string(), fc.constantFrom(...PLACE_NAMES, ...SHOWN_TAGS[name]))
    fc.assert(
      fc.property(fc.dictionary(tag, fc.string()), (group) => {
        const expected = Object.keys(group).filter((each) => SHOWN_TAGS[name].has(each))
        assert.deepEqual(Object.keys(shownTags(name, group)), expected)
      }),
    )
  })

  test(`No tag on the list of ${name} is one for coordinates`, () => {
    const suspects = [...SHOWN_TAGS[name]].filter((tag) => /gps|latitude|longitude|altitude|geo|coordinate/i.test(tag))
    assert.deepEqual(suspects, [])
  })
}
