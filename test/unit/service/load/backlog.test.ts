import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Awaited, createBacklog } from '../../../../src/service/load/admission.ts'

const work = (kind: Awaited, costMs: number, client = '') => ({ kind, client, costMs })

function setUp(slots = 2) {
  const clock = { ms: 0 }
  return { clock, backlog: createBacklog({ slots, now: () => clock.ms }) }
}

test('one waits for what is before one, shared by the slots', () => {
  const { backlog } = setUp()
  assert.equal(backlog.waitMs('viewer'), 0)
  const places = [100, 200, 300].map((costMs) => backlog.add(work('viewer', costMs)))
  assert.equal(backlog.waitMs('viewer'), 300)
  places[0]?.revise(500)
  assert.equal(backlog.waitMs('viewer'), 500)
  for (const place of places) {
    place.leave()
    place.leave()
    place.revise(9999)
  }
  assert.equal(backlog.waitMs('viewer'), 0)
})

test('what is under way counts with the time that it still takes, and nothing once that is over', () => {
  const { backlog, clock } = setUp()
  const ended = [backlog.begin(400), backlog.begin(600)]
  assert.equal(backlog.waitMs('viewer'), 400)
  clock.ms = 300
  assert.equal(backlog.waitMs('viewer'), 100)
  clock.ms = 900
  assert.equal(backlog.waitMs('viewer'), 0)
  for (const end of ended) end()
})

test('a task of which nobody knows how long it takes is expected to take as long as the last ones of its kind', () => {
  const { backlog, clock } = setUp()
  for (let task = 0; task < 200; task += 1) {
    const ended = backlog.begin()
    clock.ms += 1000
    ended()
  }
  backlog.add(work('viewer', 100))
  const ended = backlog.begin()
  assert.equal(backlog.waitMs('viewer'), 100)
  for (let place = 0; place < 100; place += 1) backlog.add(work('viewer', 100))
  // It keeps one of the two slots for a second, and not for ever.
  assert.ok(Math.abs(backlog.waitMs('viewer') - (10_100 + 1000) / 2) < 10, `${backlog.waitMs('viewer')} ms`)
  ended()
  assert.equal(backlog.waitMs('viewer'), 10_100 / 2)
})

test('one waits for no more of the other kind than of its own', () => {
  const { backlog } = setUp(1)
  backlog.add(work('upload', 10_000))
  backlog.add(work('viewer', 100))
  assert.equal(backlog.waitMs('viewer'), 200)
  assert.equal(backlog.waitMs('upload'), 10_100)
})

test('a machine that turns out to be slower than expected is expected to go on so, until it is quicker', () => {
  const { backlog, clock } = setUp(1)
  const perform = (costMs: number, takesMs: number) => {
    const ended = backlog.begin(costMs)
    clock.ms += takesMs
    ended()
  }
  for (let task = 0; task < 200; task += 1) perform(10, 30)
  const place = backlog.add(work('viewer', 100))
  assert.ok(Math.abs(backlog.waitMs('viewer') - 300) < 5, `${backlog.waitMs('viewer')} ms`)
  for (let task = 0; task < 200; task += 1) perform(10, 5)
  assert.ok(Math.abs(backlog.waitMs('viewer') - 50) < 5, `${backlog.waitMs('viewer')} ms`)
  place.leave()
})

test('First guesses that are far off are corrected for those of the same kind that come next', () => {
  const { backlog } = setUp(1)
  for (let place = 0; place < 200; place += 1) {
    const { revise, leave } = backlog.add(work('viewer', 30))
    revise(6)
    // Of what has been corrected already nothing more is learnt.
    revise(1000)
    leave()
  }
  const place = backlog.add(work('viewer', 30))
  assert.ok(Math.abs(backlog.waitMs('viewer') - 6) < 0.5, `${backlog.waitMs('viewer')} ms`)
  assert.ok(Math.abs(place.costMs - 6) < 0.5, `${place.costMs} ms`)
  place.leave()
  backlog.add(work('upload', 30))
  assert.equal(backlog.waitMs('upload'), 30)
})

test('One long task keeps one slot, and nobody waits for it while another is free', () => {
  const backlog = createBacklog({ slots: 2, now: () => 0 })
  backlog.begin(7000)
  assert.equal(backlog.waitMs('viewer'), 0)
  backlog.add(work('viewer', 500))
  assert.equal(backlog.waitMs('viewer'), 500)
  backlog.begin(1000)
  assert.equal(backlog.waitMs('viewer'), 1500)
  backlog.add(work('viewer', 10_000))
  assert.equal(backlog.waitMs('viewer'), 7000 + (10_500 - 6000) / 2)
})

test('Clients take turns: one waits for no more of another’s work than of its own, and the next one not for all of it', () => {
  const { backlog } = setUp(1)
  const places = [
    backlog.add(work('viewer', 3000, 'greedy')),
    backlog.add(work('viewer', 100, 'one')),
    backlog.add(work('viewer', 20, 'another')),
  ]
  const waitOf = (client: string, costMs: number) => backlog.waitInTurnMs(work('viewer', costMs, client))
  assert.equal(backlog.waitMs('viewer'), 3120)
  assert.equal(waitOf('new', 50), 50 + 50 + 20)
  assert.equal(waitOf('one', 50), 100 + 150 + 20)
  assert.equal(waitOf('greedy', 50), 3000 + 100 + 20)
  for (const place of places) place.leave()
  for (const client of ['new', 'one', 'greedy']) assert.equal(waitOf(client, 50), 0)
})

test('Many clients with one request each are waited for, each of them', () => {
  const { backlog } = setUp(2)
  for (let client = 0; client < 100; client += 1) backlog.add(work('viewer', 10, `client ${client}`))
  assert.equal(backlog.waitInTurnMs(work('viewer', 10, 'new')), 500)
})

test('A task that hung, and an original that takes far longer than was guessed, change little of what is expected', () => {
  const { backlog, clock } = setUp(1)
  const perform = (costMs: number, takesMs: number) => {
    const ended = backlog.begin(costMs)
    clock.ms += takesMs
    ended()
  }
  for (let task = 0; task < 100; task += 1) perform(20, 20)
  perform(20, 12_000)
  const place = backlog.add(work('viewer', 100))
  assert.ok(backlog.waitMs('viewer') < 120, `${backlog.waitMs('viewer')} ms`)
  place.leave()
  for (const [guess, costMs] of [...Array.from({ length: 100 }, () => [30, 30] as const), [30, 4500] as const]) {
    const { revise, leave } = backlog.add(work('viewer', guess))
    revise(costMs)
    leave()
  }
  const next = backlog.add(work('viewer', 30))
  assert.ok(next.costMs < 36, `${next.costMs} ms`)
})
