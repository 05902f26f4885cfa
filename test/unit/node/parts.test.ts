import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createParts, repeating } from '../../../src/node/parts.ts'

function recorder() {
  const events: string[] = []
  const part = (name: string) => ({
    async start() {
      await turn()
      events.push(`start ${name}`)
    },
    async stop() {
      events.push(`stop ${name}`)
      await turn()
      events.push(`${name} stopped`)
    },
    forget: (ids: ReadonlySet<string>) => void events.push(`${name} forgets ${[...ids].join(' ')}`),
  })
  return { events, part }
}

test('Parts start one after the other, in the order of the list', async () => {
  const { events, part } = recorder()
  const parts = createParts()
  for (const name of ['a', 'b', 'c']) parts.add(part(name))
  await parts.start()
  assert.deepEqual(events, ['start a', 'start b', 'start c'])
})

test('A part that cannot start ends the start', async () => {
  const { events, part } = recorder()
  const parts = createParts()
  parts.add(part('a'))
  parts.add({ start: () => Promise.reject(new Error('no')) })
  parts.add(part('c'))
  await assert.rejects(parts.start(), /no/)
  assert.deepEqual(events, ['start a'])
})

test('Parts stop phase by phase, and within a phase all at once', async () => {
  const { events, part } = recorder()
  const parts = createParts()
  parts.add(part('store'), 'connections')
  parts.add(part('one'))
  parts.add(part('other'))
  parts.add(part('server'), 'requests')
  await parts.stop()
  assert.deepEqual(events, [
    'stop server',
    'server stopped',
    'stop one',
    'stop other',
    'one stopped',
    'other stopped',
    'stop store',
    'store stopped',
  ])
})

test('What a part has pending is summed up, and each that remembers forgets', () => {
  const { events, part } = recorder()
  const parts = createParts()
  parts.add({ pending: 2 })
  const growing = parts.add({ pending: 1 })
  parts.add(part('a'))
  parts.add({ start() {} })
  assert.equal(parts.pending, 3)
  growing.pending = 5
  assert.equal(parts.pending, 7)
  parts.forget(new Set(['x', 'y']))
  assert.deepEqual(events, ['a forgets x y'])
})

test('A repeated task that is woken runs again soon, once for all calls during a run, and no oftener than every 50 ms', async () => {
  const starts: number[] = []
  let finish = () => {}
  const task = repeating(3_600_000, async () => {
    starts.push(performance.now())
    await new Promise<void>((resolve) => {
      finish = resolve
    })
  })
  void task.start()
  const nextRun = async (count: number) => {
    while (starts.length < count) await turn()
  }
  await nextRun(1)
  task.wake()
  task.wake()
  finish()
  await nextRun(2)
  finish()
  await turn()
  await turn()
  assert.equal(starts.length, 2)
  task.wake()
  await nextRun(3)
  finish()
  await task.stop()
  // A busy machine may enter a run late.
  assert.ok((starts[2] ?? 0) - (starts[0] ?? 0) >= 50)
})
