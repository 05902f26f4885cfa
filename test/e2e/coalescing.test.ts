import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { newStore, startNodeFor } from '../../tools/servers/site.ts'

const CLIENTS = 1000
const SIZES = 20

test('1,000 concurrent cold requests for 20 sizes of one original cost one fetch and 20 renders', async (t) => {
  const { endpoint, env: ofStore } = await newStore()
  const env = { ...ofStore, MEZZANINE_MIN_PIXELS: '0' }
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  const uploader = await startNodeFor(t, { env })
  const id = await uploadFixture(uploader.url, 'mountains.jpg')
  const node = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint } })

  const requests = Array.from({ length: CLIENTS }, async (_, client) => {
    const width = 100 + (client % SIZES)
    const { status, headers, body } = await rawRequest(node.url, `/image/${id}/${width}w/x.jpg`)
    assert.equal(status, 200)
    return {
      width,
      etag: headers.etag,
      tier: /"(\w+)"/.exec(String(headers['server-timing']))?.[1],
      bytes: body.length,
    }
  })
  const answers = await Promise.all(requests)

  const fetched = proxy.requests.filter((line) => line.startsWith('GET') && line.includes('/originals/'))
  assert.equal(fetched.length, 1)
  assert.equal(await node.metric('darkroom_render_duration_seconds_count'), SIZES)
  assert.equal(await node.metric('darkroom_original_fetch_duration_seconds_count'), 1)
  assert.equal(await node.metric('darkroom_renditions_total', '{cache_status="miss",cache="none"}'), SIZES)
  assert.equal(await node.metric('darkroom_renditions_total'), CLIENTS)
  assert.equal(answers.filter(({ tier }) => tier === 'miss').length, SIZES)
  assert.equal(new Set(answers.map(({ width, etag }) => `${width} ${etag}`)).size, SIZES, 'a size is the same for all')
})

test('One size for clients of three classes at once costs one render for each format', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const accepts = ['image/avif,image/webp', 'image/webp', '*/*', 'image/avif']
  await Promise.all(
    Array.from({ length: 60 }, async (_, client) => {
      const explicit = client % 2 === 0 ? '' : '/x.webp'
      const headers = { Accept: accepts[client % accepts.length] ?? '' }
      assert.equal((await rawRequest(node.url, `/image/${id}/480w${explicit}`, { headers })).status, 200)
    }),
  )
  assert.equal(await node.metric('darkroom_render_duration_seconds_count'), 3)
})
