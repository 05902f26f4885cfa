import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLines } from '../../../../src/service/tools/lines.ts'

test('Work of one key is done in order, also after a failure, and that of another key at once', async () => {
  const lines = createLines()
  const first = Promise.withResolvers<void>()
  const begun: string[] = []
  const work = (name: string, until: Promise<void> = Promise.resolve()) => {
    return async () => {
      begun.push(name)
      await until
      return name
    }
  }
  const one = lines.run('a', work('one', first.promise))
  const two = lines.run('a', work('two'))
  assert.equal(await lines.run('b', work('other')), 'other')
  assert.deepEqual(begun, ['one', 'other'])
  assert.equal(lines.pending, 2)
  first.reject(new Error('Failed'))
  await assert.rejects(one, { message: 'Failed' })
  assert.equal(await two, 'two')
  assert.equal(lines.pending, 0)
})

test('It is idle when all keys are, including work that was added meanwhile', async () => {
  const lines = createLines()
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let isIdle = false
  void lines.run('a', async () => {
    await first.promise
    void lines.run('b', () => second.promise)
  })
  const idle = lines.idle().then(() => (isIdle = true))
  first.resolve()
  while (lines.pending !== 1) await new Promise(setImmediate)
  assert.equal(isIdle, false)
  second.resolve()
  await idle
})
