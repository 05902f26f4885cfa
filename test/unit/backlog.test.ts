import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBacklog } from '../../src/service/backlog.ts'

type Kind = 'viewer' | 'upload'

function setUp(slots = 2) {
  const clock = { ms: 0 }
  return { clock, backlog: createBacklog<Kind>({ slots, now: () => clock.ms }) }
}

test('one waits for what is before one, shared by the slots', () => {
  const { backlog } = setUp()
  assert.equal(backlog.waitMs('viewer'), 0)
  const places = [100, 200, 300].map((costMs) => backlog.add('viewer', costMs))
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

test('a task of which nobody knows how long it takes has its slot for itself', () => {
  const { backlog } = setUp()
  backlog.add('viewer', 100)
  const ended = backlog.begin()
  assert.equal(backlog.waitMs('viewer'), 100)
  ended()
  assert.equal(backlog.waitMs('viewer'), 50)
})

test('one waits for no more of the other kind than of its own', () => {
  const { backlog } = setUp(1)
  backlog.add('upload', 10_000)
  backlog.add('viewer', 100)
  assert.equal(backlog.waitMs('viewer'), 200)
  assert.equal(backlog.waitMs('upload'), 10_100)
})

test('a machine that turns out to be slower than expected is expected to go on so, until it is quicker', () => {
  const { backlog, clock } = setUp(1)
  const work = (costMs: number, takesMs: number) => {
    const ended = backlog.begin(costMs)
    clock.ms += takesMs
    ended()
  }
  for (let task = 0; task < 200; task += 1) work(10, 30)
  const place = backlog.add('viewer', 100)
  assert.ok(Math.abs(backlog.waitMs('viewer') - 300) < 5, `${backlog.waitMs('viewer')} ms`)
  for (let task = 0; task < 200; task += 1) work(10, 5)
  assert.ok(Math.abs(backlog.waitMs('viewer') - 50) < 5, `${backlog.waitMs('viewer')} ms`)
  place.leave()
})

test('First guesses that are far off are corrected for those of the same kind that come next', () => {
  const { backlog } = setUp(1)
  for (let place = 0; place < 200; place += 1) {
    const { revise, leave } = backlog.add('viewer', 30)
    revise(6)
    // Of what has been corrected already nothing more is learnt.
    revise(1000)
    leave()
  }
  const place = backlog.add('viewer', 30)
  assert.ok(Math.abs(backlog.waitMs('viewer') - 6) < 0.5, `${backlog.waitMs('viewer')} ms`)
  assert.ok(Math.abs(place.costMs - 6) < 0.5, `${place.costMs} ms`)
  place.leave()
  backlog.add('upload', 30)
  assert.equal(backlog.waitMs('upload'), 30)
})

test('One long task keeps one slot, and nobody waits for it while another is free', () => {
  const backlog = createBacklog<'a'>({ slots: 2, now: () => 0 })
  backlog.begin(7000)
  assert.equal(backlog.waitMs('a'), 0)
  backlog.add('a', 500)
  assert.equal(backlog.waitMs('a'), 500)
  backlog.begin(1000)
  assert.equal(backlog.waitMs('a'), 1500)
  backlog.add('a', 10_000)
  assert.equal(backlog.waitMs('a'), 7000 + (10_500 - 6000) / 2)
})
