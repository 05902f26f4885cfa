import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OriginalError, RemoteError, RequestError, UnavailableError } from '../../../../src/errors.ts'
import { createRememberedFailures, memoize } from '../../../../src/service/tools/memoize.ts'

test('A remembered result is not computed again, and one that found no room is', () => {
  const computed: string[] = []
  const upper = memoize((text) => {
    computed.push(text)
    return { text: text.toUpperCase() }
  }, 3000)
  for (const text of ['a', 'a', 'b', 'a']) assert.equal(upper(text).text, text.toUpperCase())
  assert.deepEqual(computed, ['a', 'b'])
  // Room is for two.
  upper('c')
  upper('b')
  assert.deepEqual(computed, ['a', 'b', 'c', 'b'])
  // What is larger than all the room is computed all the same.
  assert.equal(upper('d'.repeat(2000)).text, 'D'.repeat(2000))
})

test('What a function throws is thrown each time', () => {
  let calls = 0
  const failing = memoize(() => {
    calls += 1
    throw new Error(`call ${calls}`)
  }, 3000)
  assert.throws(() => failing('a'), /call 1/)
  assert.throws(() => failing('a'), /call 2/)
})

function setStage(maxRemembered = 1000) {
  const clock = { ms: 1_800_000_000_000 }
  return { clock, failures: createRememberedFailures({ maxRemembered, now: () => clock.ms }) }
}

const notFound = () => new OriginalError('original_not_found', 'Image not found')

const ERRORS = [
  notFound(),
  new RemoteError('remote_failed', 'The remote host refused the connection', { cause: new Error('ECONNREFUSED') }),
  new UnavailableError('store_unavailable', 'The object store did not respond in time'),
  new UnavailableError('overloaded', 'Too many requests', { retryAfterSeconds: 7 }),
] as const

for (const error of ERRORS) {
  test(`A remembered ${error.name} ${error.code} comes back as a new error that says the same, without its cause`, () => {
    const { failures } = setStage()
    failures.set('a', error, 1000)
    const again = failures.get('a')
    assert.ok(again && again !== error)
    assert.equal(again.constructor, error.constructor)
    assert.deepEqual([again.name, again.code, again.message], [error.name, error.code, error.message])
    assert.equal(again.cause, undefined)
    if (error instanceof UnavailableError) {
      assert.ok(again instanceof UnavailableError)
      assert.equal(again.retryAfterSeconds, error.retryAfterSeconds)
    }
    assert.notEqual(failures.get('a'), again)
  })
}

test('A subclass comes back as the class that it belongs to, and what is none of them is not kept', () => {
  const { failures } = setStage()
  class BodyError extends UnavailableError {}
  failures.set('a', new BodyError('store_unavailable', 'Cut'), 1000)
  assert.equal(failures.get('a')?.constructor, UnavailableError)
  failures.set('b', new RequestError('invalid_path', 'No'), 1000)
  assert.equal(failures.has('b'), false)
})

test('A failure is over after its time, also when the clock is set back, and it is still known that there was one', () => {
  const { failures, clock } = setStage()
  failures.set('a', notFound(), 1000)
  clock.ms += 999
  assert.equal(failures.get('a')?.code, 'original_not_found')
  clock.ms += 1
  assert.equal(failures.get('a'), undefined)
  assert.equal(failures.has('a'), true)
  clock.ms -= 2000
  assert.equal(failures.get('a'), undefined)
  failures.delete('a')
  assert.equal(failures.has('a'), false)
})

test('Failures are bounded in number, whatever the bound that is asked for, and the latest are kept', () => {
  for (const [wanted, kept] of [
    [1000, 1000],
    [50_000, 10_000],
  ] as const) {
    const { failures } = setStage(wanted)
    for (let number = 0; number < 12_000; number += 1) failures.set(String(number), notFound(), 1000)
    const known = Array.from({ length: 12_000 }, (_, number) => number).filter((number) => failures.has(String(number)))
    assert.deepEqual([known.length, known.at(-1)], [kept, 11_999])
  }
})

test('Failures are bounded in bytes: long keys and messages push out others', () => {
  const { failures } = setStage(10_000)
  const long = 'x'.repeat(10_000)
  for (let number = 0; number < 2000; number += 1) {
    failures.set(`${long}${number}`, new OriginalError('original_not_found', long), 1000)
  }
  const known = Array.from({ length: 2000 }, (_, number) => number).filter((number) => failures.has(`${long}${number}`))
  assert.ok(known.length > 50 && known.length < 150, `${known.length} entries of 40 KB in 4 MiB`)
})
