import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { wellDescribed } from '../../tools/pictures/metadata.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { startRabbitmq } from '../../tools/servers/rabbitmq.ts'
import { startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'
import { installIndexer, untilSo } from '../support/indexer-example.ts'

const QUEUE = 'indexer'

test('The indexer of a queue finds an upload by its camera, and processes a repeated message once', async (t) => {
  const broker = await startRabbitmq(t)
  const file = join(await temporaryFolder(t), 'sinks.yml')
  const sink = { kind: 'amqp', url: broker.url, user: 'guest', password: '$BROKER_PASSWORD', routingKey: QUEUE }
  await writeFile(file, JSON.stringify({ sinks: { indexer: sink } }))
  const env = { SINKS_FILE: file, BROKER_PASSWORD: 'guest', SINK_ALLOW_ADDRESSES: '127.0.0.1' }
  const channel = await broker.channel()
  await channel.assertQueue(QUEUE, { durable: true })
  const node = await startNodeFor(t, { env })
  const start = await installIndexer(t, node.url)
  const url = new URL(broker.url)
  const indexer = await start({ EVENTS: 'amqp', AMQP_URL: `amqp://guest:guest@${url.host}`, AMQP_QUEUE: QUEUE })
  assert.equal((await upload(node.url, await wellDescribed(await fixture('mountains.jpg')))).status, 201)
  await untilSo(async () => (await indexer.search('camera:fixture')).length === 1, 'found by its camera')
  const [{ id, version } = { id: '', version: 0 }] = await indexer.search('')
  for (const offset of [1, 1, -1]) {
    const data = { version: version + offset, id, name: `${offset}.jpg`, width: 4, height: 3, format: 'jpeg', bytes: 9 }
    const event = { id: `event ${offset}`, type: 'image.stored', subject: id, data }
    channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(event)))
  }
  const names = async () => (await indexer.search('')).map(({ name }) => name).join()
  await untilSo(async () => (await names()) === '1.jpg' && (await indexer.stats()).duplicates === 1, 'a later event')
  await untilSo(async () => (await channel.checkQueue(QUEUE)).messageCount === 0, 'an empty queue')
  assert.equal(await names(), '1.jpg')
})
