import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDeletionGuard } from '../../../../src/service/deletion/guard.ts'
import { createMemoryCache, createMemoryDisk } from '../../../support/memory-cache.ts'
import { createStage } from '../../../support/service-stage.ts'

const DELETED = { name: 'OriginalError', code: 'original_deleted' }

/** A guard over the stage's real watch, and a cache whose files and hidden images can be looked at. */
function createGuarded() {
  const { watch } = createStage()
  const disk = createMemoryDisk()
  const cache = createMemoryCache(disk)
  const discarded: string[] = []
  return {
    guard: createDeletionGuard({ watch, cache }),
    disk,
    cache,
    discarded,
    /** What a deletion does on this node, apart from the files: those of `cache` stay until the guard hides them. */
    forget: (id: string) => watch.forget(new Set([id])),
    write: (id: string) => cache.publish(id, '400w.webp', Buffer.from('picture')),
    discard: (id: string) => () => void discarded.push(id),
  }
}

test('Work whose image stays publishes, and nothing is discarded or hidden', async () => {
  const { guard, disk, cache, discarded, write, discard } = createGuarded()
  const work = guard.begin('a')
  assert.equal(await work.publish(() => write('a'), discard('a')), true)
  assert.equal(work.isInvalidated, false)
  assert.deepEqual([[...disk.files.keys()], discarded], [['a/400w.webp'], []])
  assert.ok(!cache.calls.includes('hide a'))
})

test('A deletion during the work keeps anything from being published', async () => {
  const { guard, disk, discarded, forget, write, discard } = createGuarded()
  const work = guard.begin('a')
  await forget('a')
  let wrote = false
  const put = async () => {
    wrote = true
    return await write('a')
  }
  await assert.rejects(work.publish(put, discard('a')), DELETED)
  assert.deepEqual([wrote, [...disk.files.keys()], discarded], [false, [], ['a']])
})

test('A deletion during the work hides the files before the error is thrown: a second attempt must not read them', async () => {
  const { guard, disk, forget, write, discard } = createGuarded()
  await write('a')
  const work = guard.begin('a')
  await forget('a')
  await assert.rejects(
    work.publish(() => write('a'), discard('a')),
    DELETED,
  )
  assert.deepEqual([...disk.files.keys()], [])
})

test('A deletion during the publishing undoes it', async () => {
  const { guard, disk, discarded, forget, write, discard } = createGuarded()
  const work = guard.begin('a')
  const put = async () => {
    await forget('a')
    return await write('a')
  }
  await assert.rejects(work.publish(put, discard('a')), DELETED)
  assert.deepEqual([[...disk.files.keys()], discarded], [[], ['a']])
})

test('A deletion after the last byte was written, but before the publishing has ended, undoes it', async () => {
  const { guard, disk, forget, write } = createGuarded()
  const work = guard.begin('a')
  const put = async () => {
    const published = await write('a')
    await forget('a')
    return published
  }
  await assert.rejects(work.publish(put), DELETED)
  assert.deepEqual([...disk.files.keys()], [])
})

test('The second publishing of the same work is undone like the first', async () => {
  const { guard, disk, forget, write } = createGuarded()
  const work = guard.begin('a')
  await work.publish(() => write('a'))
  const put = async () => {
    await forget('a')
    return await write('a')
  }
  await assert.rejects(work.publish(put), DELETED)
  assert.deepEqual([...disk.files.keys()], [])
})

test('Work that goes on without the publishing is told instead', async () => {
  const { guard, disk, forget, write } = createGuarded()
  assert.equal(await guard.begin('a').tryPublish(() => write('a')), true)
  const during = guard.begin('b')
  const put = async () => {
    await forget('b')
    return await write('b')
  }
  assert.equal(await during.tryPublish(put), false)
  const before = guard.begin('c')
  await forget('c')
  assert.equal(await before.tryPublish(() => write('c')), false)
  assert.deepEqual([...disk.files.keys()], ['a/400w.webp'])
})

test('An entry is not remembered after a deletion', async () => {
  const { guard, forget } = createGuarded()
  const memory = new Map<string, boolean>()
  const [a, b] = [guard.begin('a'), guard.begin('b')]
  await forget('a')
  a.remember(() => memory.set('a', true))
  b.remember(() => memory.set('b', true))
  assert.deepEqual([...memory.keys()], ['b'])
  assert.deepEqual([a.isInvalidated, b.isInvalidated], [true, false])
})

test('A deletion of another image changes nothing', async () => {
  const { guard, disk, discarded, forget, write, discard } = createGuarded()
  const work = guard.begin('a')
  await forget('b')
  const put = async () => {
    await forget('c')
    return await write('a')
  }
  assert.equal(await work.publish(put, discard('a')), true)
  assert.deepEqual([[...disk.files.keys()], discarded], [['a/400w.webp'], []])
})

test('Work that is begun after the deletion publishes: the image may have been uploaded again', async () => {
  const { guard, disk, forget, write } = createGuarded()
  await forget('a')
  assert.equal(await guard.begin('a').publish(() => write('a')), true)
  assert.deepEqual([...disk.files.keys()], ['a/400w.webp'])
})

test('Nested work is judged by its own beginning: the outer one is invalidated, the inner one is not', async () => {
  const { guard, forget, write } = createGuarded()
  const outer = guard.begin('a')
  await forget('a')
  const put = async () => {
    const inner = guard.begin('a')
    return await inner.publish(() => write('a'))
  }
  assert.equal(await put(), true)
  assert.equal(outer.isInvalidated, true)
  await assert.rejects(outer.publish(put), DELETED)
})

test('A deletion during nested work undoes what both publish', async () => {
  const { guard, disk, discarded, forget, write, discard } = createGuarded()
  const outer = guard.begin('a')
  const inner = guard.begin('a')
  const putInner = async () => {
    await forget('a')
    return await write('a')
  }
  const putOuter = () => inner.publish(putInner, discard('inner'))
  await assert.rejects(outer.publish(putOuter, discard('outer')), DELETED)
  await assert.rejects(
    outer.publish(() => write('a'), discard('outer')),
    DELETED,
  )
  assert.deepEqual([[...disk.files.keys()], discarded], [[], ['inner', 'outer']])
})

test('A failure of the publishing itself is passed on', async () => {
  const { guard, discarded, discard } = createGuarded()
  const failure = new Error('The disk burns')
  await assert.rejects(
    guard.begin('a').publish(() => Promise.reject(failure), discard('a')),
    failure,
  )
  assert.deepEqual(discarded, [])
})
