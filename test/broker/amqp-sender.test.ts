import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import type { Channel, Message } from 'amqplib'
import { createAmqpSender } from '../../src/adapters/amqp/amqp-sender.ts'
import type { AmqpSink } from '../../src/adapters/amqp/amqp-session.ts'
import { createSinkAddresses } from '../../src/adapters/hosts/sink-addresses.ts'
import { deletedEvent } from '../../src/domain/info/image-event.ts'
import { sinkMessage } from '../../src/domain/info/sink-message.ts'
import { parseAddressBlock } from '../../src/domain/network/ip-address.ts'
import { RemoteError, RequestError } from '../../src/errors.ts'
import { createScope } from '../../tools/processes/scope.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { startRabbitmq } from '../../tools/servers/rabbitmq.ts'

const never = new AbortController().signal
const scope = createScope()
after(() => scope.close())
const broker = await startRabbitmq(scope)
const channel = await broker.channel()
let numbers = 0

const loopback = createSinkAddresses({ allowedAddresses: [parseAddressBlock('127.0.0.1')], dnsServers: [] })

function newSender(t: TestContext, addresses = loopback) {
  const sender = createAmqpSender({ addresses })
  t.after(sender.close)
  return sender
}

/** A sink for a queue of its own. */
function newSink(more: Partial<AmqpSink> = {}): AmqpSink {
  numbers += 1
  const name = `queue-${numbers}`
  return { name, url: broker.url, user: 'guest', password: 'guest', exchange: '', routingKey: name, ...more }
}

/** As the relay makes it. */
function messageOf(count: number) {
  const ids = Array.from({ length: count }, (_, number) => String(number).padStart(40, '0'))
  return sinkMessage(
    ids.map((id) => deletedEvent(id, 1_800_000_000_000)),
    '/images',
  )
}

/** All messages of a queue. */
async function drain(queue: string, from: Channel = channel): Promise<readonly Message[]> {
  const messages: Message[] = []
  for (let next = await from.get(queue); next !== false; next = await from.get(queue)) {
    from.ack(next)
    messages.push(next)
  }
  return messages
}

const idsOf = (messages: readonly Message[]) => messages.map(({ properties }) => String(properties.messageId))

/** Resolves with the message of the failure. */
async function failureOf(delivery: Promise<unknown>): Promise<string> {
  const error = await delivery.then(
    () => assert.fail('accepted'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof RemoteError, String(error))
  return error.message
}

test('Each event is a persistent message with its id, in order and once', async (t) => {
  const sink = newSink()
  await channel.assertQueue(sink.routingKey)
  const message = messageOf(350)
  assert.equal(await newSender(t).send(sink, message, never), undefined)
  const messages = await drain(sink.routingKey)
  assert.deepEqual(
    idsOf(messages),
    message.events.map(({ id }) => id),
  )
  const [first] = messages
  const [event] = message.events
  assert.ok(first && event)
  assert.deepEqual(jsonFields(first.content), event)
  assert.partialDeepStrictEqual(first.properties, {
    contentType: 'application/cloudevents+json',
    contentEncoding: 'utf-8',
    deliveryMode: 2,
    type: 'image.deleted',
    timestamp: 1_800_000_000,
    appId: 'darkroom',
  })
})

test('The type of an event can be the routing key of an exchange', async (t) => {
  const exchange = `events-${numbers}`
  const sink = newSink({ exchange, routingKey: '{type}' })
  await channel.assertExchange(exchange, 'topic')
  const { queue } = await channel.assertQueue('')
  await channel.bindQueue(queue, exchange, 'image.deleted')
  await newSender(t).send(sink, messageOf(2), never)
  assert.equal((await drain(queue)).length, 2)
})

test('A message without a queue is returned: a failure, which names the queue; the next attempt delivers all', async (t) => {
  const sink = newSink()
  const sender = newSender(t)
  const message = messageOf(3)
  assert.match(await failureOf(sender.send(sink, message, never)), /returned a message: there is no queue "queue-\d+"/)
  await channel.assertQueue(sink.routingKey)
  await sender.send(sink, message, never)
  assert.equal((await drain(sink.routingKey)).length, 3)
  const exchange = `fanout-${numbers}`
  await channel.assertExchange(exchange, 'fanout')
  const unbound = newSink({ exchange })
  assert.match(await failureOf(sender.send(unbound, message, never)), /no queue is bound to the exchange "fanout-\d+"/)
})

test('A full queue refuses messages (nack); afterwards only those are sent again', async (t) => {
  const sink = newSink()
  const options = { arguments: { 'x-max-length': 5, 'x-overflow': 'reject-publish' } }
  await channel.assertQueue(sink.routingKey, options)
  const sender = newSender(t)
  const message = messageOf(8)
  assert.match(await failureOf(sender.send(sink, message, never)), /refused a message \(nack\)/)
  const first = await drain(sink.routingKey)
  assert.equal(first.length, 5)
  await sender.send(sink, message, never)
  const all = [...idsOf(first), ...idsOf(await drain(sink.routingKey))]
  assert.deepEqual(all.toSorted(), message.events.map(({ id }) => id).toSorted(), 'each once')
})

test('A missing exchange, a wrong password, virtual host, port or certificate is named', async (t) => {
  const cases: readonly [Partial<AmqpSink>, RegExp][] = [
    [{ exchange: 'nowhere' }, /NOT_FOUND - no exchange 'nowhere'/],
    [{ password: 'wrong' }, /refused the login: .*ACCESS.REFUSED.*check user, password/],
    [{ url: `${broker.url}/nowhere` }, /refused the login: .*, and the virtual host in url/],
    [{ url: 'amqp://127.0.0.1:1' }, /cannot be reached \(ECONNREFUSED\)/],
    [{ url: broker.tlsUrl }, /no valid TLS certificate \(DEPTH_ZERO_SELF_SIGNED_CERT\); NODE_EXTRA_CA_CERTS/],
  ]
  const sender = newSender(t)
  for (const [more, expected] of cases) {
    const sink = newSink(more)
    const said = await failureOf(sender.send(sink, messageOf(1), never))
    assert.match(said, expected)
    assert.doesNotMatch(said, /wrong/, 'no secret')
    assert.match(await failureOf(sender.probe(sink, never)), expected)
  }
})

test('The doctor’s probe finds a missing queue, and accepts a right sink', async (t) => {
  const sink = newSink()
  const sender = newSender(t)
  assert.match(await failureOf(sender.probe(sink, never)), /no queue 'queue-\d+'/)
  await channel.assertQueue(sink.routingKey)
  await sender.probe(sink, never)
})

test('A broker at an address that is not allowed is never connected to', async (t) => {
  const sender = newSender(t, createSinkAddresses({ allowedAddresses: [], dnsServers: [] }))
  await assert.rejects(sender.send(newSink(), messageOf(1), never), RequestError)
})

test('While a memory alarm blocks the broker an attempt fails; its messages arrive once afterwards', async (t) => {
  const sink = newSink()
  await channel.assertQueue(sink.routingKey)
  const sender = newSender(t)
  await sender.send(sink, messageOf(1), never)
  await broker.control('set_vm_memory_high_watermark', 'absolute', '1')
  const message = messageOf(20)
  const limit = new AbortController()
  const attempt = failureOf(sender.send(sink, message, limit.signal))
  setTimeout(() => limit.abort(new RemoteError('remote_failed', 'no answer within 5 s')), 5000)
  assert.match(await attempt, /accepts no messages for now \(connection\.blocked: low on memory\)/)
  const next = sender.send(sink, message, never)
  await broker.control('set_vm_memory_high_watermark', '0.4')
  await next
  assert.equal((await drain(sink.routingKey)).length, 21)
})

test('A frozen broker ends an attempt; its messages arrive once when it goes on', async (t) => {
  const sink = newSink()
  await channel.assertQueue(sink.routingKey)
  const sender = newSender(t)
  await sender.send(sink, messageOf(1), never)
  const message = messageOf(120)
  process.kill(broker.pid(), 'SIGSTOP')
  const limit = new AbortController()
  const attempt = failureOf(sender.send(sink, message, limit.signal))
  limit.abort(new RemoteError('remote_failed', 'no answer in time'))
  assert.match(await attempt, /no answer in time/)
  const next = sender.send(sink, message, never)
  process.kill(broker.pid(), 'SIGCONT')
  await next
  assert.equal((await drain(sink.routingKey)).length, 121)
})

test('A broker that is killed ends an attempt; after its restart nothing that was confirmed is missing', async (t) => {
  const sink = newSink()
  await channel.assertQueue(sink.routingKey)
  const sender = newSender(t)
  const message = messageOf(1000)
  const attempt = sender.send(sink, message, never).then(
    () => 'accepted',
    (error: unknown) => String(error),
  )
  await broker.kill()
  assert.match(await attempt, /accepted|closed the connection|cannot be reached|refused the login/)
  await broker.start()
  await sender.send(sink, message, never)
  const received = idsOf(await drain(sink.routingKey, await broker.channel()))
  assert.equal(new Set(received).size, 1000)
  assert.ok(received.length <= 1100, `${received.length}: only unconfirmed messages may be repeated`)
})
