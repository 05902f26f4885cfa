import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createFolderSync } from '../../../../src/adapters/file-store/folder-sync.ts'

/** Syncs that end when the test says so. */
function createDisk() {
  const begun: { readonly path: string; readonly done: PromiseWithResolvers<void> }[] = []
  const sync = createFolderSync((path) => {
    const done = Promise.withResolvers<void>()
    begun.push({ path, done })
    return done.promise
  })
  return { begun, sync, paths: () => begun.map(({ path }) => path) }
}

test('folders are synced one after the other, from the deepest up', async () => {
  const { begun, sync, paths } = createDisk()
  const synced = sync('/store/records/ab', '/store')
  for (const count of [1, 2, 3]) {
    await turn()
    assert.equal(begun.length, count)
    begun.at(-1)?.done.resolve()
  }
  await synced
  assert.deepEqual(paths(), ['/store/records/ab', '/store/records', '/store'])
})

test('calls that come during a sync share the next one, which begins after them', async () => {
  const { begun, sync } = createDisk()
  const first = sync('/store', '/store')
  await turn()
  const later = [sync('/store', '/store'), sync('/store', '/store')]
  await turn()
  assert.equal(begun.length, 1, 'the sync that runs may have missed their names')
  begun[0]?.done.resolve()
  await first
  await turn()
  assert.equal(begun.length, 2)
  const last = sync('/store', '/store')
  begun[1]?.done.resolve()
  await Promise.all(later)
  await turn()
  assert.equal(begun.length, 3)
  begun[2]?.done.resolve()
  await last
})

test('a failed sync is that of the calls that shared it, and the next call tries again', async () => {
  const { begun, sync } = createDisk()
  const first = sync('/store', '/store')
  const joined = sync('/store', '/store')
  await turn()
  const next = sync('/store', '/store')
  begun[0]?.done.reject(new Error('EIO'))
  await assert.rejects(first, /EIO/)
  await assert.rejects(joined, /EIO/)
  await turn()
  begun[1]?.done.resolve()
  await next
  assert.equal(begun.length, 2)
})
