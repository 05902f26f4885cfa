import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isImageId,
  isResourceId,
  isTransientId,
  isVersionId,
  resourceId,
  transientId,
  versionId,
} from '../../../../src/domain/identity/image-id.ts'
import { originalFile, renditionFolder } from '../../../../src/domain/stored/cache-layout.ts'
import {
  invalidationKey,
  parseInvalidationKey,
  remoteOriginalKey,
  remotePointerKey,
} from '../../../../src/domain/stored/store-layout.ts'

const OBJECT = { kind: 'object', bucket: 'photos', key: 'a/b.jpg' } as const
const RESOURCE = resourceId(OBJECT)
const VERSION = versionId(RESOURCE, '"etag"')

test('Originals that differ in anything have different names, and so have their versions', () => {
  const resources = [
    OBJECT,
    { ...OBJECT, bucket: 'photo', key: 's/a/b.jpg' },
    { ...OBJECT, bucket: 'photos/a', key: 'b.jpg' },
    { ...OBJECT, key: 'a//b.jpg' },
    { ...OBJECT, key: 'a/b.jpg\u0000' },
    { ...OBJECT, key: 'caf\u00e9.jpg' },
    { ...OBJECT, key: 'cafe\u0301.jpg' },
    { ...OBJECT, versionId: '1' },
    { ...OBJECT, key: 'a/b.jpg1' },
    { kind: 'remote', url: 'https://photos/a/b.jpg' } as const,
  ].map(resourceId)
  assert.equal(new Set(resources).size, resources.length)
  const versions = resources.flatMap((id) => [versionId(id, '1'), versionId(id, '2'), transientId(id, '1')])
  assert.equal(new Set(versions).size, versions.length)
})

test('No name of one kind is a name of another', () => {
  const ids = [RESOURCE, VERSION, transientId(RESOURCE, '1'), VERSION.slice(1)]
  assert.deepEqual(ids.map(isResourceId), [true, false, false, false])
  assert.deepEqual(ids.map(isVersionId), [false, true, true, false])
  assert.deepEqual(ids.map(isTransientId), [false, false, true, false])
  assert.deepEqual(ids.map(isImageId), [false, false, false, true])
})

test('Files of a version are in a folder that nginx does not send from by itself', () => {
  const hex = VERSION.slice(1)
  assert.equal(renditionFolder(VERSION), `version/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${VERSION}`)
  assert.equal(originalFile(VERSION), renditionFolder(VERSION))
})

test('What is kept of a remote original is all in one folder', () => {
  const folder = `remotes/${RESOURCE.slice(1, 3)}/${RESOURCE.slice(3, 5)}/${RESOURCE}`
  assert.equal(remotePointerKey(RESOURCE), `${folder}/pointer.json`)
  assert.equal(remoteOriginalKey(RESOURCE, VERSION), `${folder}/${VERSION}`)
})

test('An invalidation can name an original that may change', () => {
  const invalidation = { id: RESOURCE, time: 1_800_000_000_000 }
  assert.deepEqual(parseInvalidationKey(invalidationKey(invalidation)), invalidation)
})
