import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { race, type Runner } from '../../../../src/adapters/calls/race.ts'
import { UnavailableError } from '../../../../src/errors.ts'

const never = new AbortController().signal
const NO_ANSWER = 60_000

interface Steered extends Runner<string> {
  readonly calls: AbortSignal[]
  readonly silences: number[]
  answer(value: string | undefined): void
  fail(error: Error): void
}

function steered({ hedgeAfterMs, silentAfterMs = NO_ANSWER }: Partial<Runner<string>> = {}): Steered {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  const calls: AbortSignal[] = []
  const silences: number[] = []
  return {
    calls,
    silences,
    answer: resolve,
    fail: reject,
    run(signal) {
      calls.push(signal)
      return promise
    },
    hedgeAfterMs,
    silentAfterMs,
    silent: () => void silences.push(1),
    ended() {},
  }
}

function raceOf(runners: readonly Steered[], { may = true, again }: { may?: boolean; again?: Steered } = {}) {
  const asked = { times: 0 }
  const discarded: string[] = []
  const signal = new AbortController()
  const mayHedge = (): boolean => {
    asked.times += 1
    return may
  }
  const discard = (value: string): void => void discarded.push(value)
  return { asked, discarded, client: signal, won: race({ runners, again, mayHedge, discard }, signal.signal) }
}

const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await delay(1)
}
const away = (): UnavailableError => new UnavailableError('store_unavailable', 'away')

test('a fast answer of the first runner starts no other', async () => {
  const [first, second] = [steered({ hedgeAfterMs: NO_ANSWER }), steered()]
  const { won, asked } = raceOf([first, second])
  first.answer('a')
  const { value, runner, isHedge, end } = await won
  end()
  assert.deepEqual([value, runner, isHedge], ['a', first, false])
  assert.deepEqual([second.calls.length, asked.times], [0, 0])
})

test('a slow runner is hedged once, the faster answer wins, and the other is aborted and its late answer discarded', async () => {
  const [first, second] = [steered({ hedgeAfterMs: 1 }), steered({ hedgeAfterMs: 1 })]
  const { won, asked, discarded } = raceOf([first, second])
  await until(() => second.calls.length === 1)
  second.answer('b')
  const { value, isHedge, end } = await won
  end()
  assert.deepEqual([value, isHedge, asked.times], ['b', true, 1])
  assert.deepEqual([first.calls[0]?.aborted, second.calls[0]?.aborted], [true, false])
  first.answer('a')
  await until(() => discarded.length > 0)
  assert.deepEqual(discarded, ['a'])
})

test('without budget a slow runner is waited for', async () => {
  const [first, second] = [steered({ hedgeAfterMs: 1 }), steered()]
  const { won, asked } = raceOf([first, second], { may: false })
  await until(() => asked.times === 1)
  assert.equal(second.calls.length, 0)
  first.answer('a')
  assert.equal((await won).isHedge, false)
})

test('a repetition of the first runner takes no other', async () => {
  const [first, again, second] = [steered({ hedgeAfterMs: 1 }), steered(), steered()]
  const { won } = raceOf([first, second], { again })
  await until(() => again.calls.length === 1)
  again.answer('again')
  assert.equal((await won).value, 'again')
  assert.equal(second.calls.length, 0)
})

test('a silent runner is reported and followed by the next, whatever the budget', async () => {
  const [first, second] = [steered({ silentAfterMs: 1 }), steered()]
  const { won, asked } = raceOf([first, second], { may: false })
  await until(() => second.calls.length === 1)
  assert.deepEqual([first.silences.length, asked.times], [1, 0])
  second.answer('b')
  assert.equal((await won).isHedge, false)
})

test('a runner that fails or cannot tell is followed by the next at once; if none can tell, the first failure is thrown', async () => {
  const [first, second, third] = [steered(), steered(), steered()]
  const { won } = raceOf([first, second, third])
  first.answer(undefined)
  second.fail(away())
  third.fail(new UnavailableError('store_unavailable', 'also away'))
  await assert.rejects(won, { message: 'away' })
})

test('if every runner is unable to tell, the value is undefined', async () => {
  const [first, second] = [steered(), steered()]
  const { won } = raceOf([first, second])
  first.answer(undefined)
  second.answer(undefined)
  assert.equal((await won).value, undefined)
})

test('an unexpected error ends the race', async () => {
  const [first, second] = [steered(), steered()]
  const { won } = raceOf([first, second])
  first.fail(new TypeError('a bug'))
  await assert.rejects(won, TypeError)
  assert.equal(second.calls.length, 0)
})

test('a client who leaves aborts all runners with its reason, and the winner until its value is used', async () => {
  const reason = new Error('the client has gone')
  const [first, second] = [steered({ hedgeAfterMs: 1 }), steered()]
  const early = raceOf([first, second])
  await until(() => second.calls.length === 1)
  early.client.abort(reason)
  await assert.rejects(early.won, reason)
  assert.deepEqual([first.calls[0]?.reason, second.calls[0]?.reason], [reason, reason])

  for (const isEnded of [false, true]) {
    const winner = steered()
    const late = raceOf([winner])
    winner.answer('a')
    const { end } = await late.won
    if (isEnded) end()
    late.client.abort(reason)
    assert.equal(winner.calls[0]?.aborted, !isEnded)
  }
  await assert.rejects(
    race({ runners: [steered()], mayHedge: () => true, discard() {} }, AbortSignal.abort(reason)),
    reason,
  )
  await assert.doesNotReject(race({ runners: [], mayHedge: () => true, discard() {} }, never))
})
