import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createWorkQueue, HOLD_MS } from '../../../../src/service/load/work-queue.ts'

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

test('One that would wait for longer than the longest wait is refused at once, and told when to come again', async () => {
  const queue = createWorkQueue(TIMED)
  const places = Array.from({ length: 20 }, () => queue.enter('viewer', { costMs: 100 }))
  assert.equal(queue.expectedWaitMs, 2000)
  assert.equal(queue.refusal('viewer'), undefined)
  queue.enter('viewer', { costMs: 500 })
  const { code, retryAfterSeconds } = queue.refusal('viewer') ?? {}
  assert.deepEqual([code, retryAfterSeconds], ['overloaded', 3])
  assert.throws(() => queue.enter('viewer', { costMs: 1 }), { code: 'overloaded', retryAfterSeconds: 3 })
  for (const place of places.slice(0, 6)) place.leave()
  queue.enter('viewer', { costMs: 1 })
})

test('Up to the longest wait nobody is refused: a page of 200 pictures, and 64 clients in a closed loop of slow work', async (t) => {
  const clock = { ms: 0 }
  t.mock.method(performance, 'now', () => clock.ms)
  const limits = { name: 'a renderer', concurrency: 2, maxWaiting: 1000, maxWaitMs: 15_000, maxAgeMs: 18_000 }
  const page = { clients: 200, costMs: 60, turns: 200 }
  const loop = { clients: 64, costMs: 450, turns: 640 }
  for (const { clients, costMs, turns } of [page, loop]) {
    const queue = createWorkQueue(limits)
    const { task, ends } = createTasks()
    let asked = 0
    const view = async (client: number): Promise<void> => {
      while (asked < turns) {
        asked += 1
        const viewer = { client: `192.0.2.${client}`, since: clock.ms }
        // The first guess is far too low.
        const place = queue.enter('viewer', { costMs: 30, viewer })
        place.revise(costMs)
        await queue.run(task, never, { place, viewer })
      }
    }
    const all = Promise.all(Array.from({ length: clients }, (_, client) => view(client)))
    let done = 0
    for (; done < turns; ) {
      await setImmediate()
      clock.ms += costMs
      for (const end of ends.splice(0)) {
        end.resolve()
        done += 1
      }
    }
    await all
    assert.deepEqual([queue.active, queue.waiting, queue.expectedWaitMs], [0, 0, 0])
  }
})

const viewerOf = (client: string) => ({ client, since: performance.now() })

test('A client with a thousand requests takes turns with the one that comes after it', async () => {
  const queue = createWorkQueue({ name: 'x', concurrency: 2, maxWaiting: 3000, maxWaitMs: 15_000 })
  const done: Record<string, number> = { many: 0, few: 0 }
  const submit = (client: string): Promise<void> => {
    const viewer = viewerOf(client)
    const place = queue.enter('viewer', { costMs: 10, viewer })
    const task = async () => {
      await setImmediate()
      done[client] = (done[client] ?? 0) + 1
    }
    return queue.run(task, never, { viewer, place })
  }
  const many = Promise.all(Array.from({ length: 1000 }, () => submit('many')))
  const few = Promise.all(Array.from({ length: 200 }, () => submit('few')))
  await few
  assert.ok((done['many'] ?? 0) <= 210, `${done['many']} of the others' requests went first`)
  await many
})

test('A client has as many places at most as are left, so that another always finds some', async () => {
  const queue = createWorkQueue({ ...TIMED, maxWaiting: 100 })
  const enter = (client: string) => queue.enter('viewer', { costMs: 1, viewer: viewerOf(client) })
  const greedy = Array.from({ length: 50 }, () => enter('greedy'))
  assert.throws(() => enter('greedy'), { code: 'overloaded' })
  assert.equal(queue.refusal('viewer', 'greedy')?.code, 'overloaded')
  assert.deepEqual([queue.refusal('viewer', 'another'), queue.refusal('viewer')], [undefined, undefined])
  for (let place = 0; place < 25; place += 1) enter('another')
  assert.throws(() => enter('another'), { code: 'overloaded' })
  enter('a third one')
  for (const place of greedy) place.leave()
  enter('greedy')
  enter('another')
})

test('What is expected to wait for each client is what its turns come to, not what all have waiting', async () => {
  const queue = createWorkQueue(TIMED)
  const enter = (client: string, costMs: number) => queue.enter('viewer', { costMs, viewer: viewerOf(client) })
  for (let place = 0; place < 20; place += 1) enter('greedy', 100)
  enter('greedy', 1)
  assert.throws(() => enter('greedy', 100), { code: 'overloaded' })
  for (let place = 0; place < 10; place += 1) enter('another', 100)
  assert.throws(() => enter('another', 100), { code: 'overloaded' })
})

test('A request that is too old to be answered in time does not wait, but begins if it can', async () => {
  const queue = createWorkQueue({ ...TIMED, maxAgeMs: 5000 })
  const { task, ends } = createTasks()
  const old = { client: 'slow fetch', since: performance.now() - 6000 }
  const begun = queue.run(task, never, { viewer: old, place: queue.enter('viewer', { costMs: 1, viewer: old }) })
  await assert.rejects(queue.run(task, never, { viewer: old }), { code: 'overloaded' })
  const young = queue.run(task, never, { viewer: viewerOf('another') })
  for (const run of [begun, young]) {
    await setImmediate()
    ends.shift()?.resolve()
    await run
  }
})

test('What waits holds a bounded amount of memory, and gives it back when it begins or is given up', async () => {
  const queue = createWorkQueue({ ...TIMED, maxHeldBytes: 10 })
  const { task, ends } = createTasks()
  const running = queue.run(task, never, { heldBytes: 1000 })
  const leaving = new AbortController()
  const left = queue.run(task, leaving.signal, { heldBytes: 6 })
  const waiting = queue.run(task, never, { heldBytes: 4 })
  await assert.rejects(queue.run(task, never, { heldBytes: 1 }), { code: 'overloaded', message: /memory/ })
  leaving.abort(new Error('left'))
  await assert.rejects(left, { message: 'left' })
  const next = queue.run(task, never, { heldBytes: 6 })
  for (const run of [running, waiting, next]) {
    await setImmediate()
    ends.shift()?.resolve()
    await run
  }
  await queue.run(async () => {}, never, { heldBytes: 10 })
})

test('An upload waits for no more of the viewers’ work than of its own', async () => {
  const queue = createWorkQueue(TIMED)
  queue.enter('viewer', { costMs: 2500 })
  assert.throws(() => queue.enter('viewer', { costMs: 1 }), { code: 'overloaded' })
  queue.enter('upload', { costMs: 900 })
  queue.enter('upload', { costMs: 900 })
  assert.throws(() => queue.enter('upload', { costMs: 1 }), { code: 'overloaded' })
})

test('Work that waits counts until it begins, and work under way until it has ended', async () => {
  const queue = createWorkQueue(TIMED)
  const { task, ends } = createTasks()
  const runs = [1, 2, 3].map(() => queue.run(task, never, { place: queue.enter('viewer', { costMs: 800 }) }))
  assert.ok(queue.expectedWaitMs > 2300 && queue.expectedWaitMs <= 2400)
  assert.throws(() => queue.enter('viewer', { costMs: 1 }), { code: 'overloaded' })
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
  const late = (['viewer', 'upload'] as const).map((priority) =>
    queue.run(() => assert.fail('begun'), never, { priority }),
  )
  const background = queue.run(task, never, { priority: 'background' })
  context.mock.timers.tick(2000)
  for (const each of late) await assert.rejects(each, { code: 'overloaded' })
  assert.deepEqual([queue.active, queue.waiting, queue.waitingInBackground], [1, 0, 1])
  ends[0]?.resolve()
  await first
  await setImmediate()
  ends[1]?.resolve()
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
        { priority, place: queue.enter(priority, { costMs: costs[priority] }) },
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
