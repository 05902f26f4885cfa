import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { INVALIDATIONS_PREFIX, invalidationKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createDeletionGuard } from '../../../../src/service/deletion/guard.ts'
import { createMemoryCache, createMemoryDisk } from '../../../support/memory-cache.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, never } from '../../../support/service-stage.ts'

const DELETED = { name: 'InvalidatedError', code: 'original_deleted' }

/** A guard over the stage's real watch, and a cache whose files and hidden images can be looked at. */
function createGuarded() {
  const { watch } = createStage()
  const disk = createMemoryDisk()
  const cache = createMemoryCache(disk)
  const discarded: string[] = []
  return {
    guard: createDeletionGuard({
      watch: {
        get sequence() {
          return watch.sequence
        },
        forgottenSince: watch.forgottenSince,
        async hide(ids) {
          await cache.hide(ids)
        },
      },
    }),
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

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const BYTES = original()

type Stage = ReturnType<typeof createStage>

const hides = ({ cache }: Stage, id: string) => cache.calls.filter((call) => call === `hide ${id}`).length
const view = (stage: Stage, id: string) =>
  stage.renditions.rendition({ id, spec: parseSpec('400w'), as: 'webp' }, never)

/** Another node of the same store, with a clock and a disk of its own. */
function neighbour(stage: Stage, aheadMs = 0): Stage {
  return createStage({ store: stage.memory, clock: { ms: stage.clock.ms + aheadMs } })
}

test('What one node deletes every other one forgets at its next look', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  await two.watch.poll(never)
  for (const stage of [one, two]) await view(stage, id)
  await one.deletions.remove(id, never)
  await two.watch.poll(never)
  for (const stage of [one, two]) {
    await assert.rejects(view(stage, id), { code: 'original_deleted' })
    assert.deepEqual(
      [...stage.disk.files.keys()].filter((path) => path.includes(id)),
      [],
    )
  }
})

test('What was heard is not heard again, though each look goes back some minutes', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  await two.watch.poll(never)
  await one.deletions.remove(id, never)
  for (let seconds = 0; seconds < 15 * 60; seconds += 10) {
    two.clock.ms += 10_000
    await two.watch.poll(never)
  }
  assert.equal(hides(two, id), 1)
})

test('A node does not hear of its own deletion once more: the image may be here again by then', async () => {
  const stage = createStage()
  await stage.watch.poll(never)
  const { id } = (await stage.upload(BYTES)).record
  await stage.deletions.remove(id, never)
  await stage.upload(BYTES)
  stage.engine.duringRender = async () => {
    stage.clock.ms += 1000
    await stage.watch.poll(never)
  }
  assert.equal((await view(stage, id)).published, true)
  assert.equal(hides(stage, id), 1)
})

for (const [name, aheadMs, waitMs] of [
  ['half a minute ahead', 30_000, 0],
  ['a day ahead', DAY_MS, 0],
  ['half a minute behind', -30_000, 0],
  ['nine minutes behind', -9 * MINUTE_MS, MINUTE_MS + 1],
] as const) {
  test(`A deletion by a node whose clock is ${name} is heard ${waitMs > 0 ? 'within a minute or so' : 'at once'}`, async () => {
    const one = createStage()
    const two = neighbour(one, aheadMs)
    const { id } = (await one.upload(BYTES)).record
    await one.watch.poll(never)
    await two.deletions.remove(id, never)
    one.clock.ms += waitMs
    await one.watch.poll(never)
    assert.equal(hides(one, id), 1)
    for (let minutes = 0; minutes < 30; minutes += 1) {
      one.clock.ms += MINUTE_MS
      await one.watch.poll(never)
    }
    assert.equal(hides(one, id), 1, 'and once only')
  })
}

test('A node that was away catches up from where it was, and keeps the rest of its cache', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  const kept = (await one.upload(original({ alpha: true }))).record.id
  await two.watch.poll(never)
  for (const each of [id, kept]) await view(two, each)
  one.clock.ms += DAY_MS
  await one.deletions.remove(id, never)
  const restarted = createStage({ store: one.memory, disk: two.disk, clock: { ms: one.clock.ms + DAY_MS } })
  assert.equal(restarted.watch.caughtUp, false)
  await restarted.watch.poll(never)
  assert.equal(restarted.watch.caughtUp, true)
  await assert.rejects(view(restarted, id), { code: 'original_deleted' })
  assert.equal((await view(restarted, kept)).tier, 'disk')
})

const WIPED = {
  'was away for longer than deletions are kept': { note: 0, laterMs: 8 * DAY_MS },
  'left no note': { note: undefined, laterMs: 0 },
  'left a note that is none': { note: 'x', laterMs: 0 },
  'left a note from the future, by a clock that was wrong then or is now': { note: 2 * DAY_MS, laterMs: 0 },
} as const
for (const [name, { note, laterMs }] of Object.entries(WIPED)) {
  test(`A node that ${name} begins with an empty cache`, async () => {
    const stage = createStage()
    const { id } = (await stage.upload(BYTES)).record
    await view(stage, id)
    if (note !== undefined) {
      await stage.cache.writeNote('invalidations-cursor', String(note === 'x' ? note : stage.clock.ms + note))
    }
    const restarted = createStage({
      store: stage.memory,
      disk: stage.disk,
      clock: { ms: stage.clock.ms + laterMs },
    })
    await restarted.watch.poll(never)
    assert.deepEqual(
      [...stage.disk.files.keys()].filter((path) => path.includes(id)),
      [],
    )
    assert.equal((await view(restarted, id)).tier, 'miss')
  })
}

test('A store that does not answer is told once, and what was missed is heard when it does', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  await two.watch.poll(never)
  const { list } = two.store
  two.store.list = () => {
    throw new UnavailableError('store_unavailable', 'down')
  }
  await one.deletions.remove(id, never)
  for (let times = 0; times < 3; times += 1) {
    two.clock.ms += 10 * MINUTE_MS
    await two.watch.poll(never)
  }
  assert.equal(two.troubles.length, 1)
  two.store.list = list
  await two.watch.poll(never)
  assert.equal(hides(two, id), 1)
})

test('A deletion that was listed before the store broke off is heard all the same, at the next look', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  await two.watch.poll(never)
  await one.deletions.remove(id, never)
  const { list } = two.store
  two.store.list = async function* (...args) {
    yield* list(...args)
    throw new UnavailableError('store_unavailable', 'broke off')
  }
  await two.watch.poll(never)
  two.store.list = list
  await two.watch.poll(never)
  assert.equal(hides(two, id), 1)
})

test('What the disk does not let be hidden is hidden as soon as it does', async () => {
  const one = createStage()
  const two = neighbour(one)
  const { id } = (await one.upload(BYTES)).record
  await two.watch.poll(never)
  await view(two, id)
  await one.deletions.remove(id, never)
  const { hide } = two.cache
  two.cache.hide = async (ids) => [...ids]
  for (let times = 0; times < 30; times += 1) {
    two.clock.ms += MINUTE_MS
    await two.watch.poll(never)
  }
  two.cache.hide = hide
  await two.watch.poll(never)
  await assert.rejects(view(two, id), { code: 'original_deleted' })
  await two.watch.poll(never)
  assert.equal(hides(two, id), 1)
})

test('Until the first look has succeeded a node is not caught up', async () => {
  const stage = createStage()
  stage.store.list = () => {
    throw new UnavailableError('store_unavailable', 'down')
  }
  await stage.watch.poll(never)
  assert.equal(stage.watch.caughtUp, false)
})

test('A node is current while the last look has succeeded', async () => {
  const stage = createStage()
  const { list } = stage.store
  const failing = () => {
    throw new UnavailableError('store_unavailable', 'down')
  }
  const current = [stage.watch.isCurrent]
  for (const each of [list, failing, list]) {
    stage.store.list = each
    await stage.watch.poll(never)
    current.push(stage.watch.isCurrent)
  }
  assert.deepEqual([current, stage.watch.caughtUp], [[false, true, false, true], true])
})

test('What was forgotten counts for what was read before, and not for what is read after', async () => {
  const { watch } = createStage()
  const before = watch.sequence
  await watch.forget(new Set(['a']))
  assert.deepEqual([watch.forgottenSince('a', before), watch.forgottenSince('b', before)], [true, false])
  assert.equal(watch.forgottenSince('a', watch.sequence), false)
})

test('Work that is older than what is remembered of deletions counts as invalidated', async () => {
  const { watch, clock } = createStage()
  const before = watch.sequence
  await watch.forget(new Set(['a']))
  const after = watch.sequence
  clock.ms += 11 * MINUTE_MS
  await watch.poll(never)
  assert.deepEqual([watch.forgottenSince('a', before), watch.forgottenSince('b', before)], [true, true])
  assert.deepEqual([watch.forgottenSince('a', after), watch.forgottenSince('b', after)], [false, false])
})

test('Files that the guard could not hide, as the disk refused it, are hidden when the disk allows it', async () => {
  const { watch, cache, disk } = createStage()
  const { hide } = cache
  const work = createDeletionGuard({ watch }).begin('a')
  const put = async () => {
    await watch.forget(new Set(['a']))
    await cache.publish('a', '400w.webp', Buffer.from('picture'))
    cache.hide = async (ids) => [...ids]
  }
  await assert.rejects(work.publish(put), DELETED)
  assert.ok(disk.files.has('a/400w.webp'))
  cache.hide = hide
  await watch.poll(never)
  assert.ok(!disk.files.has('a/400w.webp'))
})

test('Only invalidations that are older than they are kept are trimmed', async () => {
  const stage = createStage()
  const id = '3f2a'.padEnd(40, '0')
  for (const days of [9, 8, 6, 0]) {
    const key = invalidationKey({ id, time: stage.clock.ms - days * DAY_MS })
    await stage.store.put(key, { bytes: Buffer.alloc(0) }, EMPTY, never)
  }
  await stage.watch.trim(never)
  const left = [...stage.objects.keys()].filter((key) => key.startsWith(INVALIDATIONS_PREFIX))
  assert.deepEqual(
    left,
    [6, 0].map((days) => invalidationKey({ id, time: stage.clock.ms - days * DAY_MS })),
  )
})
const EMPTY = { contentType: 'text/plain', sizeBytes: 0, md5: 'd41d8cd98f00b204e9800998ecf8427e' } as const
