import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBackground } from '../../../../src/service/tools/background.ts'

test('Stopping waits for what is under way, and for what that begins at its end', async () => {
  const background = createBackground()
  const ended: string[] = []
  const first = Promise.withResolvers<void>()
  background.track(
    first.promise.then(() => {
      ended.push('first')
      background.track(Promise.resolve().then(() => void ended.push('second')))
    }),
  )
  assert.equal(background.pending, 1)
  const stopped = background.stop()
  assert.ok(background.signal.aborted)
  first.resolve()
  await stopped
  assert.deepEqual(ended, ['first', 'second'])
  assert.equal(background.pending, 0)
})
