import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { imageInfo, visibleInfo } from '../../../../src/domain/info/image-info.ts'
import { SHOWN_TAGS, shownTags } from '../../../../src/domain/info/metadata-tags.ts'
import { FACTS, MEASURED } from '../../../support/memory-engine.ts'

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
