import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { newStore, startNodeFor, startSite } from '../../tools/servers/site.ts'

const MINUTE_MS = 60_000
const never = new AbortController().signal

/** A host that has a small picture under `count` query strings. */
async function startManyPages(t: TestContext, count: number) {
  const site = await startRemoteSite(t)
  const body = await sharp({ create: { width: 16, height: 16, channels: 3, background: 'green' } })
    .png()
    .toBuffer()
  for (let index = 0; index < count; index += 1) site.pages.set(`/a.png?${index}`, { body })
  const pathOf = (index: number) => `/image?url=${encodeURIComponent(`${site.origin}/a.png?${index}`)}&size=8w`
  return { ...site, pathOf }
}

/** Answers to many requests, a few of them at once. */
async function askAll<T>(count: number, ask: (index: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  let next = 0
  const asking = Array.from({ length: 16 }, async () => {
    while (next < count) answers.push(await ask(next++))
  })
  await Promise.all(asking)
  return answers
}

test('2,000 query strings of an allowed URL add no more originals to the store than the bound allows', async (t) => {
  const requests = 2000
  const bound = 100
  const { env, host, pathOf } = await startManyPages(t, requests)
  const { env: storeEnv, settings } = await newStore()
  const node = await startNodeFor(t, {
    env: { ...env, ...storeEnv, REMOTE_NEW_PER_MINUTE: '200', REMOTE_NEW_PER_CLIENT: String(bound) },
  })
  const began = performance.now()
  const answers = await askAll(requests, (index) => {
    // It says that it is somebody else each time.
    const headers = { 'X-Forwarded-For': `198.51.100.${index % 250}`, 'X-Real-IP': `198.51.${index % 250}.1` }
    return rawRequest(node.url, pathOf(index), { headers })
  })
  const most = bound * (1 + Math.floor((performance.now() - began) / MINUTE_MS))

  const refused = answers.filter(({ status }) => status === 429)
  assert.equal(answers.filter(({ status }) => status === 200).length + refused.length, requests)
  assert.ok(refused.length >= requests - most)
  for (const { headers, body } of refused) {
    assert.equal(jsonFields(body).error, 'too_many_requests')
    assert.match(String(headers['retry-after']), /^(?:[1-9]|[1-5]\d|60)$/)
    assert.equal(headers['cache-control'], 'no-store')
  }
  assert.ok(host.requests.length <= most, `the host was asked ${host.requests.length} times`)
  await node.stop()
  const store = createS3Store(settings)
  t.after(() => store.close())
  const originals = (await keysOf(store, 'remotes/', never)).filter((key) => !key.endsWith('/pointer.json'))
  assert.ok(originals.length >= bound && originals.length <= most, `${originals.length} originals`)
})

test('While one client has reached its bound it has what is known, and another client has new images', async (t) => {
  const { env, pathOf } = await startManyPages(t, 10)
  const { url, node } = await startSite(t, { ...env, REMOTE_NEW_PER_MINUTE: '4', REMOTE_NEW_PER_CLIENT: '3' })
  const statusFor = async (client: string, path: string) =>
    (await rawRequest(url, path, { headers: { 'X-Forwarded-For': client } })).status
  for (const index of [0, 1, 2]) assert.equal(await statusFor('198.51.100.7', pathOf(index)), 200)
  assert.equal(await statusFor('198.51.100.7', pathOf(3)), 429)
  assert.equal(await statusFor('192.0.2.1, 198.51.100.7', pathOf(3)), 429, 'whatever it puts in front')
  assert.equal(await statusFor('198.51.100.7', pathOf(0)), 200)
  assert.equal(await statusFor('198.51.100.7', pathOf(0).replace('8w', '4w')), 200, 'another size of what is known')
  assert.equal(await statusFor('198.51.100.8', pathOf(3)), 200)
  assert.equal(await statusFor('198.51.100.7', pathOf(3)), 200, 'which is known now')
  assert.equal(await statusFor('198.51.100.9', pathOf(4)), 429, 'all together have reached theirs')
  assert.equal(await statusFor('198.51.100.9', pathOf(0)), 200)
  assert.equal(await node.metric('darkroom_rejected_requests_total', '{reason="rate_limit"}'), 3)
  assert.equal(await node.metric('darkroom_endpoint_calls_total', '{endpoint="remote",outcome="ok"}'), 4)
})

test('Every version in a URL of rethumb is one more new image, and its refusal is a picture', async (t) => {
  const { env, origin } = await startManyPages(t, 1)
  const node = await startNodeFor(t, { env: { ...env, REMOTE_NEW_PER_MINUTE: '4', REMOTE_NEW_PER_CLIENT: '2' } })
  const ask = (version: string) => rawRequest(node.url, `/v1/width/8/version/${version}/${origin}/a.png?0`)
  for (const version of ['a', 'b']) assert.equal((await ask(version)).status, 200)
  const { status, headers, body } = await ask('c')
  assert.equal(status, 429)
  assert.match(String(headers['rethumb-error-message']), /^too_many_requests: .*REMOTE_NEW_PER_CLIENT=2/)
  assert.match(String(headers['retry-after']), /^\d+$/)
  await assertPicture(body, { format: 'png', width: 120 })
  assert.equal((await ask('a')).status, 200)
})
