import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletedEvent } from '../../../../src/domain/info/image-event.ts'
import { pauseAfter, sinkMessage } from '../../../../src/domain/info/sink-message.ts'
import { parseWebhookSecret, webhookHeaders } from '../../../../src/domain/info/webhook.ts'

test('The signature is that of the example of Standard Webhooks', () => {
  const secret = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: '{"test": 2432232314}' }
  const headers = webhookHeaders(message, [secret], 1_614_265_330)
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  assert.equal(headers['webhook-timestamp'], '1614265330')
  const both = webhookHeaders(message, [secret, Buffer.alloc(32)], 1_614_265_330)['webhook-signature']
  assert.equal(both?.split(' ').length, 2)
  assert.ok(both?.startsWith(`${headers['webhook-signature']} `))
})

for (const text of [
  '',
  'whsec_',
  'whsec_c2hvcnQ=',
  'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'whsec_not base64 at all, sorry',
]) {
  test(`${JSON.stringify(text)} is no secret, and the message does not repeat it`, () => {
    assert.throws(() => parseWebhookSecret(text), /^Error: should be whsec_ and the base64 of at least 24 bytes/)
  })
}

test('The id of a message depends on its events only', () => {
  const events = [deletedEvent('1'.padStart(40, '0'), 1000), deletedEvent('2'.padStart(40, '0'), 1000)]
  const { id, body } = sinkMessage(events, '/images')
  assert.equal(sinkMessage(events, '/other').id, id)
  assert.notEqual(sinkMessage(events.slice(1), '/images').id, id)
  const parsed: unknown = JSON.parse(body)
  assert.ok(Array.isArray(parsed) && parsed.length === 2)
})

test('A message is attempted for days with growing pauses; one that is refused by its content for minutes', () => {
  const pauses = (status: number) => {
    const found: number[] = []
    for (let attempts = 1; ; attempts += 1) {
      const pause = pauseAfter({ attempts, status }, 0.5)
      if (pause === undefined) return found
      found.push(pause)
    }
  }
  for (const status of [0, 301, 408, 429, 500, 503]) {
    assert.equal(pauses(status).length, 11)
    assert.ok(pauses(status).reduce((sum, pause) => sum + pause, 0) > 3 * 86_400_000)
    assert.deepEqual(
      pauses(status).toSorted((one, other) => one - other),
      pauses(status),
    )
  }
  assert.deepEqual(pauses(422), [5000, 30_000, 120_000])
})

test('A pause has jitter, and Retry-After lengthens it within a bound', () => {
  assert.deepEqual(
    [0, 1].map((random) => pauseAfter({ attempts: 1 }, random)),
    [4000, 6000],
  )
  assert.equal(pauseAfter({ attempts: 1, status: 503, retryAfterSeconds: 60 }, 0.5), 60_000)
  assert.equal(pauseAfter({ attempts: 1, status: 503, retryAfterSeconds: 1 }, 0.5), 5000)
  assert.equal(pauseAfter({ attempts: 1, status: 503, retryAfterSeconds: 1e9 }, 0.5), 86_400_000)
})

test('A CDN is tried for about three days, at least every five minutes, whatever it answers', () => {
  const pauses: number[] = []
  for (let attempts = 1; ; attempts += 1) {
    const pauseMs = pauseAfter({ attempts, status: 401, isCdn: true }, 0.5)
    if (pauseMs === undefined) break
    pauses.push(pauseMs)
  }
  assert.deepEqual(pauses.slice(0, 3), [5000, 30_000, 120_000])
  assert.equal(Math.max(...pauses), 300_000)
  assert.ok(pauses.reduce((sum, each) => sum + each, 0) > 3 * 86_400_000)
})
