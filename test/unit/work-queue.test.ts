import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createWorkQueue, HOLD_MS } from '../../src/service/work-queue.ts'

const never = new AbortController().signal

function createTasks() {
  const ends: PromiseWithResolvers<void>[] = []
  const task = () => {
    const end = Promise.withResolvers<void>()
    ends.push(end)
    return end.promise
  }
  return { task, ends }
}

test('No more tasks run at once than there are slots, and the others get their turn in order', async () => {
  const waits: number[] = []
  const queue = createWorkQueue({ name: 'x', concurrency: 2, maxWaiting: 9, onTurn: (seconds) => waits.push(seconds) })
  const { task, ends } = createTasks()
  const runs = [1, 2, 3, 4].map(() => queue.run(task, never))
  await setImmediate()
  assert.deepEqual([queue.active, queue.waiting, ends.length], [2, 2, 2])
  ends[0]?.resolve()
  await runs[0]
  await setImmediate()
  assert.deepEqual([queue.active, queue.waiting, ends.length], [2, 1, 3])
  ends[1]?.resolve()
  ends[2]?.reject(new Error('failed'))
  await assert.rejects(runs[2] ?? Promise.resolve(), { message: 'failed' })
  await setImmediate()
  ends[3]?.resolve()
  await Promise.all([runs[1], runs[3]])
  assert.deepEqual([queue.active, queue.waiting], [0, 0])
  assert.equal(waits.length, 4)
  assert.ok(waits.every((seconds) => seconds >= 0 && seconds < 10))
})

test('Beyond its bound the queue refuses at once, also in a burst within one tick', async () => {
  const queue = createWorkQueue({ name: 'a renderer', concurrency: 2, maxWaiting: 3 })
  const { task, ends } = createTasks()
  const runs = Promise.allSettled(Array.from({ length: 20 }, () => queue.run(task, never)))
  const refusal = { code: 'overloaded', message: /waiting for a renderer/ }
  await assert.rejects(queue.run(task, never), refusal)
  await setImmediate()
  assert.deepEqual([queue.active, queue.waiting], [2, 3])
  await assert.rejects(queue.run(task, never), refusal)
  while (queue.active > 0) {
    for (const end of ends) end.resolve()
    await setImmediate()
  }
  assert.equal((await runs).filter(({ status }) => status === 'fulfilled').length, 5)
})

test('One who gives up while waiting makes room for another, and its task is never begun', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 1 })
  const { task, ends } = createTasks()
  const first = queue.run(task, never)
  const controller = new AbortController()
  const second = queue.run(() => assert.fail('begun'), controller.signal)
  await assert.rejects(queue.run(task, never), { code: 'overloaded' })
  controller.abort(new Error('gave up'))
  await assert.rejects(second, { message: 'gave up' })
  assert.equal(queue.waiting, 0)
  const third = queue.run(task, never)
  await setImmediate()
  ends[0]?.resolve()
  await first
  await setImmediate()
  ends[1]?.resolve()
  await third
  assert.deepEqual([queue.active, queue.waiting, ends.length], [0, 0, 2])
})

test('A slot is held until the task has really ended, though nobody waits for it any more', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 5 })
  const { task, ends } = createTasks()
  const controller = new AbortController()
  const left = queue.run(task, controller.signal)
  await setImmediate()
  controller.abort(new Error('left'))
  await assert.rejects(left, { message: 'left' })
  const next = queue.run(task, never)
  await setImmediate()
  assert.deepEqual([queue.active, queue.waiting, ends.length], [1, 1, 1])
  ends[0]?.reject(new Error('nobody hears this'))
  await setImmediate()
  assert.equal(ends.length, 2)
  ends[1]?.resolve()
  await next
})

test('One who has left already takes no place', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 1 })
  await assert.rejects(
    queue.run(() => assert.fail('begun'), AbortSignal.abort(new Error('left'))),
    { message: 'left' },
  )
  assert.deepEqual([queue.active, queue.waiting], [0, 0])
})

test('What others wait for goes first, viewers in order after it, and the background when nobody waits', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 9 })
  const begun: string[] = []
  const end = Promise.withResolvers<void>()
  const task = (name: string) => async () => {
    begun.push(name)
    if (name === 'running') await end.promise
  }
  const runs = [
    queue.run(task('running'), never),
    queue.run(task('background'), never, { priority: 'background' }),
    queue.run(task('viewer 1'), never),
    queue.run(task('viewer 2'), never, { priority: 'viewer' }),
  ]
  assert.deepEqual([queue.active, queue.waiting, queue.waitingInBackground], [1, 2, 1])
  end.resolve()
  await Promise.all(runs)
  assert.deepEqual(begun, ['running', 'viewer 1', 'viewer 2', 'background'])
})

test('The background leaves the last of several slots free, and gets it when that is the only one', async () => {
  for (const [concurrency, expected] of [
    [1, 1],
    [2, 1],
    [4, 3],
  ] as const) {
    const queue = createWorkQueue({ name: 'x', concurrency, maxWaiting: 9 })
    const { task, ends } = createTasks()
    const runs = Array.from({ length: 6 }, () => queue.run(task, never, { priority: 'background' }))
    await setImmediate()
    assert.equal(ends.length, expected, `${concurrency} slots`)
    const viewer = queue.run(task, never)
    await setImmediate()
    assert.equal(queue.waiting, concurrency === 1 ? 1 : 0)
    while (queue.active > 0) {
      for (const end of ends) end.resolve()
      await setImmediate()
    }
    await Promise.all([...runs, viewer])
  }
})

test('What waits in the background has a bound of its own', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 1, maxWaitingInBackground: 2 })
  const { task, ends } = createTasks()
  const runs = [
    queue.run(task, never),
    queue.run(task, never, { priority: 'background' }),
    queue.run(task, never, { priority: 'background' }),
  ]
  await assert.rejects(queue.run(task, never, { priority: 'background' }), { code: 'overloaded' })
  runs.push(queue.run(task, never))
  await assert.rejects(queue.run(task, never), { code: 'overloaded' })
  assert.deepEqual([queue.waiting, queue.waitingInBackground], [1, 2])
  while (queue.active > 0) {
    for (const end of ends) end.resolve()
    await setImmediate()
  }
  await Promise.all(runs)
})

test('A task never begins before whoever asked for it has gone on', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 1, maxWaiting: 1 })
  let hasGoneOn = false
  const run = queue.run(async () => assert.ok(hasGoneOn), never)
  hasGoneOn = true
  await run
})

test('While it is held the background waits, and nobody else; but not for ever', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const queue = createWorkQueue({ name: 'x', concurrency: 2, maxWaiting: 9 })
  const begun: string[] = []
  const task = (name: string) => async () => void begun.push(name)
  const [releaseOne, releaseTwo] = [queue.holdBackground(), queue.holdBackground()]
  const first = queue.run(task('background'), never, { priority: 'background' })
  await queue.run(task('viewer'), never)
  releaseOne()
  releaseOne()
  await setImmediate()
  assert.deepEqual(begun, ['viewer'])
  releaseTwo()
  await first
  assert.deepEqual(begun, ['viewer', 'background'])
  queue.holdBackground()
  const later = queue.run(task('later'), never, { priority: 'background' })
  context.mock.method(performance, 'now', () => Number.MAX_SAFE_INTEGER)
  context.mock.timers.tick(HOLD_MS + 1)
  await later
})

const TIMED = { name: 'a renderer', concurrency: 1, maxWaiting: 100, maxWaitMs: 2000 } as const

test('Who would wait for more than half of the longest wait is refused at once, and told when to come again', async () => {
  const queue = createWorkQueue(TIMED)
  const places = Array.from({ length: 10 }, () => queue.enter('viewer', 100))
  assert.equal(queue.expectedWaitMs, 1000)
  queue.enter('viewer', 500)
  assert.throws(() => queue.enter('viewer', 1), { code: 'overloaded', retryAfterSeconds: 2 })
  places.at(0)?.leave()
  for (const place of places.slice(1, 6)) place.leave()
  queue.enter('viewer', 1)
})

test('A burst may wait for so long, and a load that stays only for a part of it', async () => {
  const queue = createWorkQueue({ ...TIMED, concurrency: 2 })
  const { task, ends } = createTasks()
  const running = [1, 2].map(() => queue.run(task, never, { place: queue.enter('viewer', 0.001) }))
  await setImmediate()
  // Nobody waits for a slot yet: those who are being fetched are no sign of overload.
  const fetched = Array.from({ length: 90 }, () => queue.enter('viewer', 20))
  for (const place of fetched) place.leave()
  const first = queue.enter('viewer', 620)
  const waiter = queue.run(task, never, { place: first })
  const burst = Array.from({ length: 32 }, () => queue.enter('viewer', 1))
  assert.equal(queue.refusal('upload'), undefined)
  const { code, retryAfterSeconds } = queue.refusal('viewer') ?? {}
  assert.deepEqual([code, retryAfterSeconds], ['overloaded', 1])
  assert.throws(() => queue.enter('viewer', 1), { code: 'overloaded' })
  // Below the part that is for all there is room at once, and above it not before nobody waits.
  for (const place of burst) place.leave()
  first.revise(590)
  queue.enter('viewer', 20)
  assert.throws(() => queue.enter('viewer', 1), { code: 'overloaded' })
  for (const end of ends) end.resolve()
  await Promise.all(running)
  await setImmediate()
  ends.at(-1)?.resolve()
  await waiter
  queue.enter('viewer', 700)
  assert.equal(queue.refusal('viewer'), undefined)
  queue.enter('viewer', 1)
})

test('An upload, whose bytes would have to come again, is let in to a queue that refuses viewers', async () => {
  const queue = createWorkQueue(TIMED)
  queue.enter('upload', 3000)
  queue.enter('viewer', 2000)
  assert.throws(() => queue.enter('viewer', 1), { code: 'overloaded' })
  queue.enter('upload', 6000)
  assert.throws(() => queue.enter('upload', 1), { code: 'overloaded' })
})

test('Work that waits counts until it begins, and work under way until it has ended', async () => {
  const queue = createWorkQueue(TIMED)
  const { task, ends } = createTasks()
  const runs = [1, 2, 3].map(() => queue.run(task, never, { place: queue.enter('viewer', 400) }))
  assert.ok(queue.expectedWaitMs > 1100 && queue.expectedWaitMs <= 1200)
  assert.throws(() => queue.enter('viewer', 1), { code: 'overloaded' })
  for (const run of runs) {
    await setImmediate()
    ends.shift()?.resolve()
    await run
  }
  assert.equal(queue.expectedWaitMs, 0)
})

test('What has waited for too long is refused rather than done for nobody', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const queue = createWorkQueue(TIMED)
  const { task, ends } = createTasks()
  const first = queue.run(task, never)
  const viewer = queue.run(() => assert.fail('begun'), never)
  const upload = queue.run(task, never, { priority: 'upload' })
  const background = queue.run(task, never, { priority: 'background' })
  context.mock.timers.tick(2000)
  await assert.rejects(viewer, { code: 'overloaded' })
  assert.deepEqual([queue.active, queue.waiting, queue.waitingInBackground], [1, 1, 1])
  const other = queue.run(() => assert.fail('begun'), never, { priority: 'upload' })
  ends[0]?.resolve()
  await first
  await setImmediate()
  assert.equal(ends.length, 2, 'the upload has begun')
  context.mock.timers.tick(10_000)
  await assert.rejects(other, { code: 'overloaded' })
  ends[1]?.resolve()
  await upload
  await setImmediate()
  ends[2]?.resolve()
  await background
})

for (const [flood, lone] of [
  ['viewer', 'upload'],
  ['upload', 'viewer'],
] as const) {
  test(`Under a flood of the kind ${flood} the kind ${lone} goes on with its share of the time`, async () => {
    const queue = createWorkQueue({ name: 'x', concurrency: 2, maxWaiting: 1000 })
    const costs = { viewer: 10, upload: 80 }
    const loneWork = 640
    const done = { viewer: 0, upload: 0 }
    const submit = (priority: 'viewer' | 'upload') =>
      queue.run(
        async () => {
          await setImmediate()
          done[priority] += costs[priority]
        },
        never,
        { priority, place: queue.enter(priority, costs[priority]) },
      )
    const all = Promise.all([
      ...Array.from({ length: 400 }, () => submit(flood)),
      ...Array.from({ length: loneWork / costs[lone] }, () => submit(lone)),
    ])
    while (done[lone] < loneWork) await setImmediate()
    // It has had half of the time since it came, but for what was under way and the longest piece of work.
    assert.ok(done[flood] <= loneWork + 4 * costs.upload, JSON.stringify(done))
    assert.ok(done[flood] >= loneWork - 4 * costs.upload, JSON.stringify(done))
    await all
  })
}
