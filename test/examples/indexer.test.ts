import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { deletedEvent, type ImageEvent, storedEvent } from '../../src/domain/info/image-event.ts'
import { sinkMessage } from '../../src/domain/info/sink-message.ts'
import { parseWebhookSecret, webhookHeaders } from '../../src/domain/info/webhook.ts'
import { wellDescribed } from '../../tools/pictures/metadata.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor } from '../../tools/servers/site.ts'
import { installIndexer, untilSo } from '../support/indexer-example.ts'

const ID = '3f2a'.padEnd(40, '0')
const TIME = Date.parse('2026-11-30T20:35:00.000Z')

async function upload(url: string, bytes: Buffer, query: Readonly<Record<string, string>> = {}): Promise<string> {
  const headers = { ...AUTHORIZATION, 'Content-Type': 'application/octet-stream' }
  const init = { method: 'POST', body: new Uint8Array(bytes), headers }
  const answer = await fetch(`${url}/images?${new URLSearchParams(query).toString()}`, init)
  const text = await answer.text()
  assert.equal(answer.status, 201, text)
  return z.object({ id: z.string() }).parse(JSON.parse(text)).id
}

const noise = async (seed: number) => (await noisePicture(seed, 200, 200)).bytes

async function setUp(t: TestContext) {
  const node = await startNodeFor(t)
  return { node, start: await installIndexer(t, node.url) }
}

test('The indexer finds images of before its start and of after it, until they are deleted', async (t) => {
  const { node, start } = await setUp(t)
  const old = await upload(node.url, await noise(1), { labels: 'archive' })
  const indexer = await start()
  await untilSo(async () => (await indexer.search('archive')).length === 1, 'an earlier image')
  const id = await upload(node.url, await wellDescribed(await fixture('mountains.jpg')), { labels: 'mountain dawn' })
  for (const query of ['fixture one', 'camera:FIXTURE', 'label:dawn mount', '2026-05-04', 'format:jpeg fixt']) {
    await untilSo(async () => (await indexer.search(query)).some((image) => image.id === id), query)
  }
  for (const query of ['label:fixture', 'fixture NOT one', 'camera:"', '* OR fixture']) {
    assert.deepEqual(await indexer.search(query), [], query)
  }
  const [image] = await indexer.search('fixture')
  assert.equal(image?.camera, 'Darkroom Fixture One')
  assert.match((await fetch(image.src)).headers.get('content-type') ?? '', /^image\//)
  for (const each of [id, old]) {
    const { status } = await fetch(`${node.url}/images/${each}`, { method: 'DELETE', headers: AUTHORIZATION })
    assert.equal(status, 204)
  }
  await untilSo(async () => (await indexer.search('')).length === 0, 'the end of the deleted images')
})

test('The indexer continues after kill -9, and processes no event twice', async (t) => {
  const { node, start } = await setUp(t)
  for (let round = 0; round < 3; round += 1) {
    const indexer = await start()
    for (let each = 0; each < 3; each += 1) await upload(node.url, await noise(10 * round + each))
    await untilSo(async () => (await indexer.search('')).length > 3 * round, `an image of round ${round}`)
    await indexer.kill()
  }
  const indexer = await start()
  await untilSo(async () => (await indexer.search('')).length === 9, 'all images')
  const { images, processed } = await indexer.stats()
  assert.deepEqual([images, processed], [9, 9])
})

const stored = (version: number, name: string) =>
  storedEvent({
    id: ID,
    width: 4000,
    height: 3000,
    format: 'jpeg',
    bytes: 2_345_678,
    alpha: false,
    frames: 1,
    uploadedAt: new Date(version).toISOString(),
    name,
  })

test('The indexer of webhooks verifies signatures, and the greatest version of an image counts', async (t) => {
  const { start } = await setUp(t)
  const secrets = [1, 2].map(() => `whsec_${randomBytes(32).toString('base64')}`)
  const indexer = await start({ EVENTS: 'webhook', WEBHOOK_SECRET: secrets.join(' ') })
  const send = async (secret: string, events: readonly ImageEvent[], time = Date.now()) => {
    const message = sinkMessage(events, '/images')
    const headers = webhookHeaders(message, [parseWebhookSecret(secret)], Math.floor(time / 1000))
    return (await fetch(`${indexer.url}/events`, { method: 'POST', headers, body: message.body })).status
  }
  const [first = '', second = ''] = secrets
  const names = async () => (await indexer.search('')).map(({ name }) => name)
  const steps = [
    { events: [stored(TIME + 2, 'new.jpg'), stored(TIME, 'old.jpg')], left: ['new.jpg'] },
    { events: [deletedEvent(ID, TIME + 1)], left: ['new.jpg'] },
    { events: [deletedEvent(ID, TIME + 3), stored(TIME + 2, 'new.jpg')], left: [] },
    { events: [stored(TIME + 4, 'again.jpg'), stored(TIME + 4, 'again.jpg')], left: ['again.jpg'] },
  ]
  for (const [index, { events, left }] of steps.entries()) {
    assert.equal(await send(index % 2 === 0 ? first : second, events), 204)
    assert.deepEqual(await names(), left)
  }
  const { duplicates, processed } = await indexer.stats()
  assert.deepEqual({ duplicates, processed }, { duplicates: 1, processed: 3 })
  const another = `whsec_${randomBytes(32).toString('base64')}`
  const HOUR_MS = 3_600_000
  assert.equal(await send(another, [deletedEvent(ID, TIME + 5)]), 401)
  assert.equal(await send(first, [deletedEvent(ID, TIME + 5)], Date.now() - HOUR_MS), 401)
  assert.deepEqual(await names(), ['again.jpg'])
})

test('The indexer of webhooks escapes names and queries', async (t) => {
  const { start } = await setUp(t)
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const indexer = await start({ EVENTS: 'webhook', WEBHOOK_SECRET: secret })
  const message = sinkMessage([stored(TIME, '"><script>alert(1)</script>.jpg')], '/images')
  const headers = webhookHeaders(message, [parseWebhookSecret(secret)], Math.floor(Date.now() / 1000))
  await fetch(`${indexer.url}/events`, { method: 'POST', headers, body: message.body })
  const page = await (await fetch(`${indexer.url}/?q=${encodeURIComponent('"><script> alert')}`)).text()
  assert.match(page, /&#34;&#62;&#60;script&#62;alert\(1\)/)
  assert.doesNotMatch(page, /<script/)
})
