import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountedTarget, parseDialectMount } from '../../../../src/domain/dialect/dialect-mount.ts'
import { rethumbExif } from '../../../../src/domain/dialect/rethumb-exif.ts'
import { SettingError } from '../../../../src/domain/text/setting-error.ts'

const MOUNTS = [
  ['thumbor=/thumbor', { name: 'thumbor', prefix: '/thumbor' }],
  ['imagor=/a/b-c.d', { name: 'thumbor', prefix: '/a/b-c.d' }],
  ['imgproxy=img.example.com', { name: 'imgproxy', prefix: '', host: 'img.example.com' }],
  ['ipx=/_ipx', { name: 'ipx', prefix: '/_ipx' }],
] as const
for (const [text, mount] of MOUNTS) {
  test(`${text} is a place for URLs of another service`, () => assert.deepEqual(parseDialectMount(text), mount))
}

const WRONG = [
  '',
  'thumbor',
  'thumbor=',
  'cloudinary=/c',
  'thumbor=/t/',
  'ipx=/image',
  'ipx=/images/x',
  'ipx=/',
  'ipx=/v1',
  'ipx=a b',
  'ipx=-a',
  'ipx=/a?b',
]
for (const text of WRONG) {
  test(`"${text}" is none`, () => assert.throws(() => parseDialectMount(text), SettingError))
}

test('A URL is for a mount if its path or its host is', () => {
  const path = parseDialectMount('thumbor=/t')
  assert.equal(mountedTarget(path, 'any', '/t/unsafe/x?y'), '/unsafe/x?y')
  for (const url of ['/t', '/tt/x', '/T/x', '/', '//t/x']) assert.equal(mountedTarget(path, 'any', url), undefined, url)
  const host = parseDialectMount('thumbor=t.example')
  for (const name of ['t.example', 'T.Example', 't.example:8080']) {
    assert.equal(mountedTarget(host, name, '/unsafe/x'), '/unsafe/x', name)
  }
  for (const name of ['', 'x.t.example', 't.example.org', 't.example:']) {
    assert.equal(mountedTarget(host, name, '/unsafe/x'), undefined, name)
  }
})

test('EXIF is told in groups, and a place in degrees, minutes and seconds', () => {
  assert.deepEqual(rethumbExif({ Make: 'Canon', ExposureTime: '1/250' }), {
    IFD0: { Make: 'Canon' },
    EXIF: { ExposureTime: '1/250' },
  })
  assert.deepEqual(rethumbExif({}, { latitude: -51.5084, longitude: 0.12551, altitude: -1.5 }), {
    GPS: {
      GPSLatitudeRef: 'S',
      GPSLatitude: ['51/1', '30/1', '3024/100'],
      GPSLongitudeRef: 'E',
      GPSLongitude: ['0/1', '7/1', '3184/100'],
      GPSAltitudeRef: 1,
      GPSAltitude: '150/100',
    },
  })
  const { GPS } = rethumbExif({}, { latitude: 59.999999999, longitude: 179.999999999 })
  assert.deepEqual(
    [GPS?.['GPSLatitude'], GPS?.['GPSLongitude']],
    [
      ['60/1', '0/1', '0/100'],
      ['180/1', '0/1', '0/100'],
    ],
  )
})
