import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mountedTarget, parseDialectMount, resolveSource } from '../../../../src/domain/dialect/dialects.ts'
import { rethumbExif } from '../../../../src/domain/dialect/rethumb-path.ts'
import type { OriginalRef } from '../../../../src/domain/identity/image-id.ts'
import { RequestError, SettingError } from '../../../../src/errors.ts'

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

const ID = '3f2a'.padEnd(40, '0')

function resolve(source: string, base = ''): OriginalRef {
  return resolveSource(source, base)
}

const ABSOLUTE: Readonly<Record<string, OriginalRef>> = {
  [ID]: { kind: 'image', id: ID },
  [`image/${ID}`]: { kind: 'image', id: ID },
  [`/image/${ID.toUpperCase()}`]: { kind: 'image', id: ID },
  's3://photos/2024/cat 1.jpg': { kind: 'object', bucket: 'photos', key: '2024/cat 1.jpg' },
  's3://photos/cat.jpg?versionId=v1': { kind: 'object', bucket: 'photos', key: 'cat.jpg', versionId: 'v1' },
  's3://photos/cat.jpg?v1': { kind: 'object', bucket: 'photos', key: 'cat.jpg', versionId: 'v1' },
  's3://photos/cat.jpg?': { kind: 'object', bucket: 'photos', key: 'cat.jpg' },
  's3:/photos/cat.jpg': { kind: 'object', bucket: 'photos', key: 'cat.jpg' },
  'https://host.example/a b.jpg?x=1': { kind: 'remote', url: 'https://host.example/a%20b.jpg?x=1' },
  'HTTP:/host.example/a.jpg': { kind: 'remote', url: 'http://host.example/a.jpg' },
  'https://host.example/a.jpg ': { kind: 'remote', url: 'https://host.example/a.jpg%20' },
  'https://host.example/a#1.jpg': { kind: 'remote', url: 'https://host.example/a%231.jpg' },
}
for (const [source, original] of Object.entries(ABSOLUTE)) {
  test(`The source ${source} needs no base, and none changes it`, () => {
    assert.deepEqual(resolve(source), original)
    assert.deepEqual(resolve(source, 'https://other.example/folder/'), original)
  })
}

const RELATIVE: readonly (readonly [source: string, base: string, original: OriginalRef])[] = [
  ['my.server.com/some/a.jpg', 'https://', { kind: 'remote', url: 'https://my.server.com/some/a.jpg' }],
  ['my.server.com:8080/a.jpg', 'http://', { kind: 'remote', url: 'http://my.server.com:8080/a.jpg' }],
  ['a.jpg', 'https://host.example/photos/', { kind: 'remote', url: 'https://host.example/photos/a.jpg' }],
  ['/a.jpg?v=1', 'https://host.example/photos/', { kind: 'remote', url: 'https://host.example/photos/a.jpg?v=1' }],
  ['2024/a.jpg', 's3://photos/public/', { kind: 'object', bucket: 'photos', key: 'public/2024/a.jpg' }],
  ['a..b/.hidden/...', 's3://photos/', { kind: 'object', bucket: 'photos', key: 'a..b/.hidden/...' }],
  ['a.jpg?versionId=v1', 's3://photos/', { kind: 'object', bucket: 'photos', key: 'a.jpg', versionId: 'v1' }],
]
for (const [source, base, original] of RELATIVE) {
  test(`The source ${source} on the base ${base} is found there`, () => {
    assert.deepEqual(resolve(source, base), original)
  })
}

const REFUSED: readonly (readonly [source: string, base: string | undefined, message: RegExp])[] = [
  ['a.jpg', undefined, /not an absolute source/],
  ['gs://bucket/a.jpg', undefined, /"gs:\/\/"/],
  ['local:///etc/passwd', undefined, /"local:\/\/"/],
  ['file:///etc/passwd', 'https://host.example/', /"file:\/\/"/],
  ['s3://photos', undefined, /s3:\/\/bucket\/key/],
  ['s3://photos/', undefined, /s3:\/\/bucket\/key/],
  [`s3://photos/${'ä'.repeat(513)}`, undefined, /1,024 bytes/],
  ['../secret/a.jpg', 'https://host.example/photos/', /"\.\."/],
  ['a/../../secret.jpg', 's3://photos/public/', /"\.\."/],
  ['..\\secret.jpg', 'https://host.example/photos/', /"\.\."/],
  ['%2E%2e/secret.jpg', 'https://host.example/photos/', /"\.\."/],
  ['.%2e?x', 'https://host.example/photos/', /"\.\."/],
  ['..', 'https://host.example/photos/', /"\.\."/],
  ['a.jpg', 'https://', /host name/],
  ['https:///a.jpg', undefined, /no host/],
  ['user@host.example/a.jpg', 'https://', /host name/],
  ['a.jpg', 'image/', /not a valid image source/],
  ['/', 'https://host.example/', /not a valid image source/],
  ['a\nb.jpg', 'https://host.example/', /control characters/],
  ['a\u0000.jpg', 's3://photos/', /control characters/],
]
for (const [source, base, message] of REFUSED) {
  test(`The source ${JSON.stringify(source)} on the base ${base} is refused`, () => {
    assert.throws(() => resolve(source, base), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test('A relative source never leaves the folder that the base names', () => {
  const part = fc.constantFrom('a', '..', '.', '%2e', '%2E', '/', '\\', '?', '#', '@', ':', ' ', '%', 'b.jpg')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const source = parts.join('')
      for (const base of ['https://host.example/photos/', 's3://photos/public/']) {
        const original = tryResolve(source, base)
        if (original?.kind === 'remote')
          assert.ok(original.url.startsWith('https://host.example/photos/'), original.url)
        if (original?.kind === 'object') assert.ok(original.key.startsWith('public/'), original.key)
      }
    }),
    { numRuns: 3000 },
  )
})

function tryResolve(source: string, base: string): OriginalRef | undefined {
  try {
    return resolve(source, base)
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error))
    return undefined
  }
}
