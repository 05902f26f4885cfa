import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LimitError } from '../../../../src/errors.ts'
import { createNewRemotes } from '../../../../src/service/originals/new-remotes.ts'

const CLIENT = '192.0.2.1'
const OTHER = '192.0.2.2'

function setUp(perMinute: number, perClient: number) {
  const clock = { ms: 1000 }
  const newRemotes = createNewRemotes({ perMinute, perClient, now: () => clock.ms })
  return {
    clock,
    ...newRemotes,
    add: (client: string) => newRemotes.enter(client).leave(true),
    refused(client: string): LimitError {
      try {
        newRemotes.assertRoom(client)
      } catch (error) {
        assert.ok(error instanceof LimitError)
        assert.throws(() => newRemotes.enter(client), LimitError)
        return error
      }
      assert.fail(`${client} is not refused`)
    },
  }
}

test('A client adds so many in a minute, and another one as many again', () => {
  const { clock, add, refused } = setUp(10, 3)
  for (let times = 0; times < 3; times += 1) {
    add(CLIENT)
    clock.ms += 10_000
  }
  const { code, message, retryAfterSeconds } = refused(CLIENT)
  assert.equal(code, 'too_many_requests')
  assert.match(message, /from this client \(REMOTE_NEW_PER_CLIENT=3\); try again in 30 s\./)
  assert.equal(retryAfterSeconds, 30)
  for (let times = 0; times < 3; times += 1) add(OTHER)
  clock.ms += 29_999
  refused(CLIENT)
  clock.ms += 1
  add(CLIENT)
  refused(CLIENT)
})

test('All clients together add no more than the bound', () => {
  const { clock, add, refused } = setUp(5, 3)
  for (const client of [CLIENT, OTHER, CLIENT, OTHER, '192.0.2.3']) add(client)
  const { message, retryAfterSeconds } = refused('192.0.2.4')
  assert.match(message, /from all clients \(REMOTE_NEW_PER_MINUTE=5\); try again in 60 s\./)
  assert.equal(retryAfterSeconds, 60)
  clock.ms += 60_000
  add('192.0.2.4')
})

test('What is being fetched holds a place, and gives it back if nothing was added', () => {
  const { clock, enter, refused } = setUp(2, 2)
  const places = [enter(CLIENT), enter(CLIENT)]
  clock.ms += 120_000
  assert.equal(refused(CLIENT).retryAfterSeconds, 60)
  places[0]?.leave(false)
  enter(CLIENT).leave(false)
  places[1]?.leave(true)
  enter(CLIENT).leave(true)
  refused(CLIENT)
})

test('No minute has more than the bounds, wherever it begins and however long the fetches take', () => {
  const step = fc.record({
    client: fc.constantFrom('a', 'b', 'c'),
    waitMs: fc.nat({ max: 9000 }),
    fetchMs: fc.nat({ max: 20_000 }),
    adds: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 150 }), (steps) => {
      const { clock, enter } = setUp(6, 3)
      const added: { readonly client: string; readonly at: number }[] = []
      const underWay: { readonly endsAt: number; end(): void }[] = []
      for (const { client, waitMs, fetchMs, adds } of steps) {
        const until = clock.ms + waitMs
        for (const fetch of underWay.toSorted((one, other) => one.endsAt - other.endsAt)) {
          if (fetch.endsAt > until) continue
          clock.ms = fetch.endsAt
          fetch.end()
          underWay.splice(underWay.indexOf(fetch), 1)
        }
        clock.ms = until
        try {
          const place = enter(client)
          const end = () => {
            place.leave(adds)
            if (adds) added.push({ client, at: clock.ms })
          }
          underWay.push({ endsAt: clock.ms + fetchMs, end })
        } catch (error) {
          assert.ok(error instanceof LimitError && error.retryAfterSeconds >= 1 && error.retryAfterSeconds <= 60)
        }
      }
      for (const { at } of added) {
        const inMinute = added.filter((one) => one.at >= at && one.at < at + 60_000)
        assert.ok(inMinute.length <= 6)
        for (const client of ['a', 'b', 'c'])
          assert.ok(inMinute.filter((one) => one.client === client).length <= 3, client)
      }
    }),
  )
})
