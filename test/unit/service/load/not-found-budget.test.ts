import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { NotFoundLimitError } from '../../../../src/errors.ts'
import { createNotFoundBudget } from '../../../../src/service/load/not-found-budget.ts'
import type { Ask } from '../../../../src/service/load/not-found-tokens.ts'

const CLIENT = '192.0.2.1'
const OTHER = '2001:db8::/64'
const COST = 4
const never = new AbortController().signal

function setUp(perMinute: number, maxWaitMs?: number) {
  const clock = { ms: 1000 }
  const budget = createNotFoundBudget({ perMinute, now: () => clock.ms, ...(maxWaitMs !== undefined && { maxWaitMs }) })
  return {
    clock,
    ...budget,
    /** How many requests of this client reach the store at once, all for missing images. */
    untilRefused(client: string, cost: number): number {
      const asks: Ask[] = []
      for (let ask = budget.take(client, cost); ask && asks.length < 100_000; ask = budget.take(client, cost)) {
        asks.push(ask)
      }
      for (const ask of asks) ask.missing()
      return asks.length
    },
    /** A picture that exists. @returns Whether it had to wait. */
    find(client: string): boolean {
      const ask = budget.take(client, COST)
      ask?.found()
      return ask === undefined
    },
  }
}

test('In no second does a client cause more store requests than its rate, not in the first one either', () => {
  const { clock, untilRefused, take } = setUp(600)
  const spent: number[] = []
  for (let tick = 0; tick < 600; tick += 1) {
    spent.push(untilRefused(CLIENT, COST) * COST)
    clock.ms += 100
  }
  const seconds = spent.map((_, at) => spent.slice(at, at + 10).reduce((sum, each) => sum + each, 0))
  assert.ok(Math.max(...seconds) <= 10, `${Math.max(...seconds)} requests in a second`)
  const total = spent.reduce((sum, each) => sum + each, 0)
  assert.ok(total >= 290 && total <= 305, `${total} requests in a minute`)
  assert.ok(take(OTHER, COST))
})

test('Requests in progress hold their tokens, so that a client cannot ask for many before the first answer', () => {
  const { take } = setUp(600)
  const ask = take(CLIENT, COST)
  assert.equal(take(CLIENT, COST), undefined)
  ask?.end()
  ask?.end()
  assert.ok(take(CLIENT, COST))
  assert.equal(take(CLIENT, COST), undefined)
})

test('Every image that is found allows one more that is not, up to 32 ids', () => {
  const { clock, find, untilRefused } = setUp(600)
  for (let count = 0; count < 10; count += 1) assert.equal(find(CLIENT), false)
  assert.equal(untilRefused(CLIENT, COST), 11)
  clock.ms += 120_000
  for (let count = 0; count < 100; count += 1) assert.equal(find(CLIENT), false)
  assert.equal(untilRefused(CLIENT, COST), 32)
  clock.ms += 120_000
  for (let count = 0; count < 100; count += 1) assert.equal(find(CLIENT), false)
  clock.ms += 61_000
  assert.equal(untilRefused(CLIENT, COST), 1, 'what was found is forgotten after a minute')
})

test('A client that leaves before the answer gets no tokens back', () => {
  const { take, isSpent } = setUp(600)
  take(CLIENT, COST)?.leave()
  assert.equal(isSpent(CLIENT), true)
  assert.equal(take(CLIENT, COST), undefined)
})

test('A request waits for tokens that come back, in order of arrival', async () => {
  const { take, wait } = setUp(600)
  const ask = take(CLIENT, COST)
  const order: string[] = []
  const waiting = ['first', 'second', 'third'].map(async (name) => {
    const granted = await wait(CLIENT, COST, never)
    order.push(name)
    granted.found()
  })
  assert.equal(take(CLIENT, 1), undefined, 'a request does not overtake those that wait')
  ask?.end()
  await Promise.all(waiting)
  assert.deepEqual(order, ['first', 'second', 'third'])
  assert.ok(take(CLIENT, COST))
})

test('A request waits for new tokens after missing images, if they come in time', async () => {
  const budget = createNotFoundBudget({ perMinute: 60_000, now: () => performance.now() })
  const costs = Array.from({ length: 200 }, () => COST)
  for (const cost of costs) (await budget.wait(CLIENT, cost, never)).missing()
  const slow = setUp(12)
  slow.take(CLIENT, COST)?.missing()
  await assert.rejects(slow.wait(CLIENT, COST, never), (error: unknown) => {
    assert.ok(error instanceof NotFoundLimitError)
    assert.equal(error.code, 'too_many_requests')
    assert.equal(error.retryAfterSeconds, 30)
    assert.match(error.message, /NOT_FOUND_PER_MINUTE=12/)
    return true
  })
})

test('A wait ends after its maximum time, unless the client has requested no missing image', async () => {
  const { clock, take, wait } = setUp(600, 20)
  const ask = take(CLIENT, COST)
  const waiting = wait(CLIENT, COST, never)
  await delay(60)
  ask?.missing()
  await assert.rejects(waiting, NotFoundLimitError)
  clock.ms += 120_000
  const next = take(CLIENT, COST)
  const again = wait(CLIENT, COST, never)
  await delay(60)
  next?.end()
  assert.ok(await again)
})

test('A client with missing images has at most half of the places to wait, and leaves one when it disconnects', async () => {
  const { take, wait } = setUp(600)
  take(CLIENT, COST)?.missing()
  const controller = new AbortController()
  const outcomes = await Promise.all(
    Array.from({ length: 300 }, async (_, index) => {
      if (index === 299) controller.abort(new Error('gone'))
      return await wait(CLIENT, COST, controller.signal).catch((error: unknown) => error)
    }),
  )
  const refused = outcomes.filter((outcome) => outcome instanceof NotFoundLimitError)
  assert.ok(refused.length >= 299 - 128, `${refused.length} of 300 were refused`)
  const left = outcomes.filter((outcome) => outcome instanceof Error && outcome.message === 'gone')
  assert.ok(left.length > 100, `${left.length} waited`)
})

test('Many clients share the budget of the node, but never at the expense of one without missing images', () => {
  const { clock, untilRefused, take } = setUp(600)
  let count = 0
  for (let client = 0; client < 1000; client += 1) count += untilRefused(`10.0.${client >> 8}.${client & 255}`, COST)
  // Each has one request: the node does not know it before.
  assert.equal(count, 1000)
  clock.ms += 1000
  const again = () =>
    Array.from({ length: 100 }, (_, client) => untilRefused(`10.0.0.${client}`, COST)).reduce((sum, each) => sum + each)
  assert.equal(again(), 0, 'what the first requests of all took is made up for')
  assert.ok(take(CLIENT, COST))
  // The common bucket is refilled like those of 20 clients.
  let inAMinute = 0
  for (let second = 0; second < 30; second += 1) {
    clock.ms += 1000
    inAMinute += again() * COST
  }
  assert.ok(inAMinute >= 2900 && inAMinute <= 3100, `${inAMinute} requests in half a minute`)
})

test('At most 20 new clients are at the store before the first answer, eight while images are missing, others at any time', async () => {
  const { take, wait, find } = setUp(600)
  find(OTHER)
  const asks: Ask[] = []
  for (let client = 0; client < 1000; client += 1) {
    const ask = take(`10.0.${client >> 8}.${client & 255}`, COST)
    if (ask) asks.push(ask)
  }
  assert.equal(asks.length, 20)
  assert.ok(take(OTHER, COST))
  const granted: Ask[] = []
  const waiting = Array.from({ length: 30 }, async (_, client) => {
    granted.push(await wait(`10.1.0.${client}`, COST, never))
  })
  for (const ask of asks) ask.missing()
  await delay(0)
  assert.ok(granted.length >= 8 && granted.length < 20, `${granted.length} after missing images`)
  for (let next = granted.shift(); next; next = granted.shift()) {
    next.found()
    await delay(0)
  }
  await Promise.all(waiting)
})

test('A rate of 0 is no limit', () => {
  const { untilRefused } = setUp(0)
  assert.equal(untilRefused(CLIENT, COST), 100_000)
})
