import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCoalescer, unlessAborted } from '../../../../src/service/tools/coalesce.ts'
import { createLeftWork } from '../../../../src/service/tools/left-work.ts'

const never = new AbortController().signal

/** A flight that is told when to land. */
function createFlight() {
  const landing = Promise.withResolvers<string>()
  const signals: AbortSignal[] = []
  const start = (signal: AbortSignal) => {
    signals.push(signal)
    return landing.promise
  }
  return { ...landing, signals, start }
}

test('Whoever asks for the same key meanwhile shares one flight', async () => {
  const coalescer = createCoalescer<string>()
  const flight = createFlight()
  const all = Promise.all([1, 2, 3].map(() => coalescer.run('key', flight.start, never)))
  assert.equal(coalescer.size, 1)
  flight.resolve('value')
  assert.deepEqual(
    (await all).map(({ joined }) => joined),
    [false, true, true],
  )
  assert.deepEqual([flight.signals.length, coalescer.size], [1, 0])
})

test('Keys fly apart, and a flight that has landed is not joined', async () => {
  const coalescer = createCoalescer<string>()
  const start = async () => 'value'
  const [one, two] = await Promise.all([coalescer.run('one', start, never), coalescer.run('two', start, never)])
  const again = await coalescer.run('one', start, never)
  assert.deepEqual([one.joined, two.joined, again.joined], [false, false, false])
})

test('A flight that fails does so for all who share it, and the next begins anew', async () => {
  const coalescer = createCoalescer<string>()
  const flight = createFlight()
  const all = Promise.allSettled([1, 2].map(() => coalescer.run('key', flight.start, never)))
  flight.reject(new Error('lost'))
  for (const { status } of await all) assert.equal(status, 'rejected')
  assert.equal(coalescer.size, 0)
  assert.equal((await coalescer.run('key', async () => 'found', never)).value, 'found')
})

test('One who joins a flight that fails with an outdated error flies once more, and the others do not', async () => {
  const coalescer = createCoalescer<string>((error) => error instanceof RangeError)
  const flight = createFlight()
  const first = coalescer.run('key', flight.start, never)
  const joined = [1, 2].map(() => coalescer.run('key', async () => 'found', never))
  flight.reject(new RangeError('not there'))
  await assert.rejects(first, { message: 'not there' })
  for (const { value } of await Promise.all(joined)) assert.equal(value, 'found')
  assert.deepEqual([flight.signals.length, coalescer.size], [1, 0])
})

test('A flight that throws at once leaves nothing behind', async () => {
  const coalescer = createCoalescer<string>()
  const fail = (): Promise<string> => {
    throw new Error('at once')
  }
  await assert.rejects(coalescer.run('key', fail, never), { message: 'at once' })
  assert.equal(coalescer.size, 0)
})

test('One who leaves gets the reason at once, and the others fly on, whoever was first', async () => {
  const coalescer = createCoalescer<string>()
  const flight = createFlight()
  const controllers = [new AbortController(), new AbortController(), new AbortController()]
  const runs = controllers.map(({ signal }) => coalescer.run('key', flight.start, signal))
  controllers[0]?.abort(new Error('the first has left'))
  controllers[1]?.abort(new Error('the second has left'))
  await assert.rejects(runs[0] ?? Promise.resolve(), { message: 'the first has left' })
  await assert.rejects(runs[1] ?? Promise.resolve(), { message: 'the second has left' })
  assert.equal(flight.signals[0]?.aborted, false)
  flight.resolve('value')
  assert.equal((await runs[2])?.value, 'value')
})

test('When the last one leaves, the flight is aborted, and who comes then begins anew', async () => {
  const coalescer = createCoalescer<string>()
  const given = createFlight()
  const controllers = [new AbortController(), new AbortController()]
  const runs = Promise.allSettled(controllers.map(({ signal }) => coalescer.run('key', given.start, signal)))
  for (const controller of controllers) controller.abort(new Error('left'))
  await runs
  assert.equal(given.signals[0]?.aborted, true)
  assert.equal(coalescer.size, 0)

  const next = createFlight()
  const run = coalescer.run('key', next.start, never)
  given.reject(new Error('ended late'))
  await assert.rejects(given.promise)
  assert.equal(coalescer.size, 1, 'the end of the old flight does not take the new one away')
  next.resolve('value')
  assert.deepEqual(await run, { value: 'value', joined: false })
})

test('One who has left already begins nothing', async () => {
  const coalescer = createCoalescer<string>()
  const flight = createFlight()
  await assert.rejects(coalescer.run('key', flight.start, AbortSignal.abort(new Error('left'))), { message: 'left' })
  assert.equal(flight.signals.length, 0)
})

test('A flight that has begun continues without callers, and one that has not is aborted', async () => {
  const leftWork = createLeftWork(1)
  const coalescer = createCoalescer<string>(undefined, leftWork)
  const landing = Promise.withResolvers<string>()
  const signals: AbortSignal[] = []
  const leave = async (key: string, isBegun: boolean) => {
    const leaving = new AbortController()
    const flight = coalescer.run(
      key,
      (signal, begun) => {
        signals.push(signal)
        if (isBegun) begun()
        return landing.promise
      },
      leaving.signal,
    )
    leaving.abort(new Error('left'))
    await assert.rejects(flight, { message: 'left' })
  }
  await leave('queued', false)
  await leave('begun', true)
  await leave('beyond the bound', true)
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false, true],
  )
  assert.deepEqual(leftWork.counters, { kept: 1, canceled: 1 })
  const joining = coalescer.run('begun', async () => assert.fail('it is under way'), never)
  landing.resolve('value')
  assert.deepEqual(await joining, { value: 'value', joined: true })
  assert.deepEqual([coalescer.size, leftWork.pending], [0, 0])
})

test('A flight that fails without callers disturbs nobody, and the end of the node aborts those that are left', async () => {
  const leftWork = createLeftWork(2)
  const coalescer = createCoalescer<string>(undefined, leftWork)
  const leaving = new AbortController()
  const failing = Promise.withResolvers<string>()
  const begin = (key: string, work: (signal: AbortSignal) => Promise<string>) => {
    const start = (signal: AbortSignal, begun: () => void) => {
      begun()
      return work(signal)
    }
    return coalescer.run(key, start, leaving.signal)
  }
  const endless = new Promise<string>(() => {})
  const runs = [
    begin('fails', () => failing.promise),
    begin('hangs', (signal) => unlessAborted(endless, signal, () => {})),
  ]
  leaving.abort(new Error('left'))
  await Promise.allSettled(runs)
  failing.reject(new Error('lost'))
  await new Promise(setImmediate)
  assert.equal(leftWork.pending, 1)
  await leftWork.stop()
  assert.deepEqual([coalescer.size, leftWork.pending], [0, 0])
})
