import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { createScope } from '../../tools/processes/scope.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { type Darkroom, upload } from '../../tools/servers/darkroom.ts'
import { type RabbitMq, startRabbitmq } from '../../tools/servers/rabbitmq.ts'
import { newStore, startNodeFor, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const REPLAY = join(import.meta.dirname, '../../scripts/replay')
const SOON_MS = 100_000
const scope = createScope()
after(() => scope.close())
const broker = await startRabbitmq(scope)

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + SOON_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `not within ${SOON_MS / 1000} s: ${what}`)
    await delay(50)
  }
}

/** Settings of nodes that deliver to a queue. */
async function settingsFor(t: TestContext, queue: string, url: string) {
  const path = join(await temporaryFolder(t), 'sinks.yaml')
  const lines = ['kind: amqp', `url: ${url}`, 'user: guest', 'password: $BROKER_PASSWORD', `routingKey: ${queue}`]
  await writeFile(path, `sinks:\n  indexer:\n${lines.map((line) => `    ${line}\n`).join('')}`)
  return {
    ...(await newStore()).env,
    SINKS_FILE: path,
    BROKER_PASSWORD: 'guest',
    SINK_ALLOW_ADDRESSES: '127.0.0.1',
    UPLOAD_TOKENS: TOKEN,
    NODE_EXTRA_CA_CERTS: broker.authority,
  }
}

let seed = 5200

async function uploadTo({ url }: Pick<Darkroom, 'url'>): Promise<string> {
  seed += 1
  const { id, bytes } = await noisePicture(seed)
  assert.ok((await upload(url, bytes, 'image/png')).ok)
  return id
}

/** Takes what is in the queue. @returns How often each image was reported, so far. */
async function receiver({ channel: open }: RabbitMq, queue: string, counts = new Map<string, number>()) {
  const channel = await open()
  await channel.assertQueue(queue)
  return {
    counts,
    async take() {
      for (let next = await channel.get(queue); next !== false; next = await channel.get(queue)) {
        const subject = String(jsonFields(next.content)['subject'])
        counts.set(subject, (counts.get(subject) ?? 0) + 1)
        channel.ack(next)
      }
      return counts
    },
  }
}

test('Each image is reported in a queue over TLS, though the broker and the node that delivers are killed', async (t) => {
  const queue = 'images'
  const first = await receiver(broker, queue)
  const env = await settingsFor(t, queue, broker.tlsUrl)
  const nodes = await Promise.all([startNodeFor(t, { env }), startNodeFor(t, { env })])
  const [one, two] = nodes
  const ids = await Promise.all([uploadTo(one), uploadTo(two), uploadTo(one)])
  await until('all are in the queue', async () => (await first.take()).size === ids.length)

  await broker.kill()
  ids.push(await uploadTo(one), await uploadTo(two))
  const failed = async () => {
    const counts = await Promise.all(nodes.map((node) => node.metric('darkroom_relay_failed_attempts_total')))
    return counts.some((count) => count > 0)
  }
  await until('a delivery fails', failed)
  await broker.start()
  const second = await receiver(broker, queue, first.counts)
  await until('all are in the queue', async () => (await second.take()).size === ids.length)

  const holds = await Promise.all(nodes.map((node) => node.metric('darkroom_relay_holder')))
  const [holder, other] = holds[0] === 1 ? [one, two] : [two, one]
  process.kill(holder.pid, 'SIGKILL')
  ids.push(await uploadTo(other))
  await until('the other node delivers', async () => (await second.take()).size === ids.length)
  assert.deepEqual([...second.counts.keys()].toSorted(), ids.toSorted())

  const before = new Map(second.counts)
  const options = { env: { ...process.env, ...env } }
  await promisify(execFile)(REPLAY, ['--since', new Date(Date.now() - 3_600_000).toISOString(), 'indexer'], options)
  const isRepeated = ([id, count]: readonly [string, number]) => count > (before.get(id) ?? 0)
  await until('all are delivered again', async () => [...(await second.take())].every(isRepeated))
})

test('Without the queue events wait, and the log says why; they arrive when the queue is there', async (t) => {
  const queue = 'absent'
  const env = await settingsFor(t, queue, broker.url)
  const node = await startNodeFor(t, { env })
  const id = await uploadTo(node)
  const complaint = /The broker returned a message: there is no queue .{0,2}absent/
  await until('the log names the queue', async () => complaint.test(await node.output()))
  const { take } = await receiver(broker, queue)
  await until('the event is in the queue', async () => (await take()).get(id) === 1)
  assert.equal(await node.metric('darkroom_relay_dead_letters_total'), 0)
})

test('A broker at a private address is refused at the start, and the setting is named', async (t) => {
  const env = { ...(await settingsFor(t, 'images', broker.url)), SINK_ALLOW_ADDRESSES: '' }
  await assert.rejects(startNodeFor(t, { env }), /SINKS_FILE\.sinks\.indexer\.url: .*SINK_ALLOW_ADDRESSES/)
})
