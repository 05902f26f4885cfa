import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { objectBody } from '../../../../src/adapters/calls/timed-body.ts'

const never = new AbortController().signal
const BYTES = Buffer.from('0123456789')

test('a body of the right length passes unchanged', async () => {
  assert.deepEqual(await buffer(objectBody(source(), { sizeBytes: 10, signal: never })), BYTES)
})

for (const sizeBytes of [9, 11]) {
  test(`ten bytes where ${sizeBytes} were announced fail`, async () => {
    await assert.rejects(buffer(objectBody(source(), { sizeBytes, signal: never })), { code: 'store_unavailable' })
  })
}

test('a failing source fails the body, as an outage, whenever its reader comes', async () => {
  const failing = new Readable({ read() {} })
  const body = objectBody(failing, { sizeBytes: 10, signal: never })
  const closed = Promise.withResolvers<void>()
  body.once('close', closed.resolve)
  failing.destroy(new Error('socket'))
  await closed.promise
  await assert.rejects(buffer(body), { code: 'store_unavailable' })
})

test('a source that stalls fails the body, as an outage', async () => {
  const stalling = new Readable({ read() {} })
  stalling.push(BYTES.subarray(0, 5))
  const body = objectBody(stalling, { sizeBytes: 10, stallTimeoutMs: 20, signal: never })
  await assert.rejects(buffer(body), { code: 'store_unavailable' })
  assert.ok(stalling.destroyed)
})

test('the body ends with the reason of its signal, and its source with it', async () => {
  const client = new AbortController()
  const reason = new Error('the client has gone')
  const waiting = new Readable({ read() {} })
  const body = objectBody(waiting, { sizeBytes: 10, signal: client.signal })
  const reading = buffer(body)
  client.abort(reason)
  await assert.rejects(reading, (error) => error === reason)
  assert.ok(waiting.destroyed)
})

test('the end is told once, after reading as after leaving', async () => {
  let closed = 0
  const onClose = (): void => {
    closed += 1
  }
  await buffer(objectBody(source(), { sizeBytes: 10, signal: never, onClose }))
  assert.equal(closed, 1)
  const left = objectBody(source(), { sizeBytes: 10, signal: never, onClose })
  left.destroy()
  await once(left, 'close')
  assert.equal(closed, 2)
})

function source(): Readable {
  return Readable.from([BYTES.subarray(0, 4), BYTES.subarray(4)])
}
