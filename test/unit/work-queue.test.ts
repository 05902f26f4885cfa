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
    queue.run(task('background'), never, 'background'),
    queue.run(task('viewer 1'), never),
    queue.run(task('viewer 2'), never, 'viewer'),
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
    const runs = Array.from({ length: 6 }, () => queue.run(task, never, 'background'))
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
  const runs = [queue.run(task, never), queue.run(task, never, 'background'), queue.run(task, never, 'background')]
  await assert.rejects(queue.run(task, never, 'background'), { code: 'overloaded' })
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
  const first = queue.run(task('background'), never, 'background')
  await queue.run(task('viewer'), never)
  releaseOne()
  releaseOne()
  await setImmediate()
  assert.deepEqual(begun, ['viewer'])
  releaseTwo()
  await first
  assert.deepEqual(begun, ['viewer', 'background'])
  queue.holdBackground()
  const later = queue.run(task('later'), never, 'background')
  context.mock.method(performance, 'now', () => Number.MAX_SAFE_INTEGER)
  context.mock.timers.tick(HOLD_MS + 1)
  await later
})
