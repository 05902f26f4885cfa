import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { cachedAnswers, stagePictures, untilRecovered } from '../../tools/chaos/staged-pictures.ts'
import { assertPicture, noisePicture } from '../../tools/pictures/picture.ts'
import { ask, assertUnavailable, logged, post } from '../../tools/requests/ask.ts'
import { AUTHORIZATION } from '../../tools/requests/token.ts'
import { replicate } from '../../tools/s3/replicate.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { startSeaweedfs } from '../../tools/s3/seaweedfs.ts'
import { backgroundIsDone } from '../../tools/servers/darkroom.ts'
import { type Fault, startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { newStore, startNodeFor } from '../../tools/servers/site.ts'

const never = new AbortController().signal
const second = await startSeaweedfs()
after(second.stop)

type Order = 'primary nearest' | 'replica nearest'

/** A node with a primary behind a proxy, and a replica on a server of its own. */
async function stage(t: Parameters<typeof startNodeFor>[0], order: Order) {
  const [primary, replica] = [await newStore(), await newStore(second)]
  const [front, copies] = [createS3Store(primary.settings), createS3Store(replica.settings)]
  const proxy = await startFaultProxy({ target: primary.endpoint })
  const entry = `s3://${replica.settings.bucket}?endpoint=${replica.endpoint}`
  const node = await startNodeFor(t, {
    env: {
      ...primary.env,
      S3_ENDPOINT: proxy.endpoint,
      STORE_REPLICAS: order === 'primary nearest' ? entry : `${entry} primary`,
      MEZZANINE_MIN_PIXELS: '100000',
    },
  })
  t.after(async () => {
    await proxy.stop()
    front.close()
    copies.close()
  })
  const served = (endpoint: string): Promise<number> =>
    node.metric(`darkroom_store_reads_total{endpoint="${endpoint}"}`)
  return {
    node,
    proxy,
    front,
    served,
    caller: { node, url: node.url, ask, post: (bytes: Buffer) => post(node.url, bytes) },
    replicated: () => replicate(front, copies, never),
    /** Else a look-up would find originals and mezzanines where they came in. */
    async forgetsCopies() {
      await backgroundIsDone(node)
      await rm(join(node.cacheDir, 'originals'), { recursive: true, force: true })
      await rm(join(node.cacheDir, 'mezzanines'), { recursive: true, force: true })
    },
  }
}

const OUTAGES: Readonly<Record<string, Fault>> = {
  'refuses connections': { kind: 'refuse' },
  'never answers': { kind: 'silent' },
}

for (const [name, fault] of Object.entries(OUTAGES)) {
  test(`while the primary ${name}, pictures come from the cache and the replica, and uploads are refused, until it is back`, async (t) => {
    const { node, proxy, front, caller, replicated, forgetsCopies, served } = await stage(t, 'primary nearest')
    const pictures = await stagePictures(caller)
    const [large, lagging, deleted] = await Promise.all([
      noisePicture(11, 1200, 900),
      noisePicture(12),
      noisePicture(13),
    ])
    for (const { bytes } of [large, deleted]) assert.equal((await caller.post(bytes)).status, 201)
    await backgroundIsDone(node)
    await replicated()
    // The replica is behind from here on.
    assert.equal((await caller.post(lagging.bytes)).status, 201)
    const removal = { method: 'DELETE', headers: AUTHORIZATION }
    assert.equal((await ask(`${node.url}/images/${deleted.id}`, removal)).status, 204)
    await forgetsCopies()
    assert.equal(await served('replica:1'), 0)
    const before = await keysOf(front, '', never)

    await proxy.setFault(fault)
    const view = (id: string) => ask(`${node.url}/image/${id}/48w/x.jpg`)
    const [fresh, mezzanine, behind, gone, upload] = await Promise.all([
      view(pictures.fresh.id),
      view(large.id),
      view(lagging.id),
      view(deleted.id),
      caller.post(pictures.late.bytes),
    ])
    for (const answer of [fresh, mezzanine]) {
      assert.equal(answer.status, 200, answer.body.toString())
      await assertPicture(answer.body, { format: 'jpeg', width: 48 })
    }
    assertUnavailable(behind, /^store_unavailable$/)
    assertUnavailable(gone, /^store_unavailable$/)
    assertUnavailable(upload, /^store_unavailable$/)
    await cachedAnswers({ ...caller, ...pictures })
    assert.ok((await served('replica:1')) >= 2)

    await proxy.setFault(undefined)
    // Nothing is half-stored: what was refused left no object.
    assert.deepEqual(await keysOf(front, '', never), before)
    const times = await untilRecovered({ ...caller, ...pictures })
    t.diagnostic(`right again after ${times.map(Math.round).join(', ')} ms: GET, POST, ready`)
    assert.equal((await view(lagging.id)).status, 200)
    assert.equal((await view(deleted.id)).status, 410)
  })
}

test('a nearer replica serves first views; what it lacks comes from the primary, and what is deleted from neither', async (t) => {
  const { node, front, caller, replicated, forgetsCopies, served } = await stage(t, 'replica nearest')
  const [copied, lagging, deleted] = await Promise.all([noisePicture(21), noisePicture(22), noisePicture(23)])
  for (const { bytes } of [copied, deleted]) assert.equal((await caller.post(bytes)).status, 201)
  await replicated()
  assert.equal((await caller.post(lagging.bytes)).status, 201)
  const removal = { method: 'DELETE', headers: AUTHORIZATION }
  assert.equal((await ask(`${node.url}/images/${deleted.id}`, removal)).status, 204)
  await forgetsCopies()
  const [replica, primary] = [await served('replica:1'), await served('store')]
  const view = (id: string) => ask(`${node.url}/image/${id}/48w/x.jpg`)
  assert.deepEqual(
    (await Promise.all([copied, lagging, deleted].map(({ id }) => view(id)))).map(({ status }) => status),
    [200, 200, 410],
  )
  assert.ok((await served('replica:1')) > replica)
  assert.ok((await served('store')) > primary)
  assert.ok((await keysOf(front, 'deleted/', never)).length > 0)
})

test('reads avoid a primary that is silent for one object in three within seconds, and return when it responds', async (t) => {
  const { node, proxy, caller, replicated, forgetsCopies, served } = await stage(t, 'primary nearest')
  const pictures = await Promise.all(Array.from({ length: 30 }, (_, index) => noisePicture(100 + index)))
  for (const { bytes } of pictures) assert.equal((await caller.post(bytes)).status, 201)
  await replicated()
  await forgetsCopies()
  await proxy.setFault({ kind: 'silent', matching: { path: /\/originals\/[0-5]/ } })
  const answers = await Promise.all(pictures.map(({ id }) => ask(`${node.url}/image/${id}/48w/x.jpg`)))
  for (const answer of answers) assert.equal(answer.status, 200, answer.body.toString())
  const slowest = Math.max(...answers.map(({ ms }) => ms))
  t.diagnostic(`slowest ${Math.round(slowest)} ms; ${await served('replica:1')} reads from the replica`)
  const avoided = () => node.metric('darkroom_store_endpoint_avoided{endpoint="store"}')
  assert.equal(await avoided(), 1)
  await logged(node, ({ msg }) => String(msg).startsWith('Reads avoid store'))
  await proxy.setFault(undefined)
  while ((await avoided()) === 1) await delay(50)
})
