import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { MEZZANINE_LEVELS } from '../../src/domain/picture/mezzanine.ts'
import { CACHE_FOLDERS, mezzanineFile, mezzanineFolder } from '../../src/domain/stored/cache-layout.ts'
import { openMezzanine } from '../../src/domain/stored/mezzanine-file.ts'
import { mezzanineKeys } from '../../src/domain/stored/store-layout.ts'
import { putBytes } from '../../src/service/tools/small-object.ts'
import { perceive } from '../../tools/pictures/perceive.ts'
import { decoded, idOf, type Picture } from '../../tools/pictures/picture.ts'
import { type Answer, ask, assertUnavailable, filesBelow, logged, recoversIn } from '../../tools/requests/ask.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { backgroundIsDone, type Darkroom, fixture, upload } from '../../tools/servers/darkroom.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { AUTHORIZATION, newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const WIDTH = 2720
const HEIGHT = 2040
/** What a deletion may take to reach everybody. */
const EVERYWHERE_MS = 2000

interface Photograph extends Picture {
  /** What a viewer should see. */
  readonly look: readonly number[]
}

/** A JPEG of 5.5 MP, compressed so little that its mezzanines are worth their bytes. @param hue Of another picture, degrees. */
async function photograph(hue: number): Promise<Photograph> {
  const scene = await sharp(await fixture('mountains.jpg'))
    .modulate({ hue })
    .png({ compressionLevel: 1 })
    .toBuffer()
  const large = sharp(scene).resize(WIDTH, HEIGHT).jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
  const [bytes, look] = await Promise.all([large.toBuffer(), perceive(scene)])
  return { bytes, id: idOf(bytes), look }
}

/** A bucket, and the nodes that use it. */
async function setStage(t: TestContext) {
  const { endpoint, settings, env } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  return {
    /** @param more Settings on top of the store's. */
    startNode: (more: Readonly<Record<string, string>> = {}) => startNodeFor(t, { env: { ...env, ...more } }),
    /** Its part of the traffic can be seen and broken. @param until The test that it ends with. */
    async startNodeBehindProxy(until: TestContext = t) {
      const proxy = await startFaultProxy({ target: endpoint })
      until.after(() => proxy.stop())
      return { proxy, node: await startNodeFor(until, { env: { ...env, S3_ENDPOINT: proxy.endpoint } }) }
    },
    keys: (prefix: string) => keysOf(store, prefix, t.signal),
    async read(key: string): Promise<Buffer> {
      const object = await store.open(key, t.signal)
      assert.ok(object, `${key} is in the store`)
      return await buffer(object.body)
    },
    write: (key: string, bytes: Buffer) =>
      putBytes(store, { key, bytes, contentType: 'image/jpeg', overwrite: true }, t.signal),
  }
}

type Stage = Awaited<ReturnType<typeof setStage>>

/** Uploads it, and waits until its mezzanines are where they can be. */
async function take(node: Darkroom, { bytes, id }: Picture): Promise<void> {
  const answer = await upload(node.url, bytes)
  assert.equal(answer.status, 201)
  assert.equal(jsonFields(await answer.text()).id, id)
  await backgroundIsDone(node)
}

/** A node has taken a photograph, its mezzanines are in the store, and the node is gone again. */
async function takePhotograph({ startNode, keys }: Stage, hue: number): Promise<Photograph> {
  const picture = await photograph(hue)
  const node = await startNode()
  await take(node, picture)
  await node.stop()
  assert.deepEqual(await keys('mezzanines/'), mezzanineKeys(picture.id).toSorted())
  return picture
}

/** What was asked of the store for bodies of that kind. */
function reads({ requests }: FaultProxy, kind: 'originals' | 'mezzanines'): string[] {
  return requests.filter((request) => request.startsWith('GET ') && request.includes(`/${kind}/`))
}

/** Over the 16x16 parts of a picture, of 0-255: a compressed picture of a compressed picture is at most 5 off. */
const MAX_APART = 10

/** Fails unless it is all of the photograph, at that size: no part of it looks otherwise. */
async function assertShows(
  { status, body }: Answer,
  { look }: Photograph,
  format: string,
  width: number,
): Promise<void> {
  assert.equal(status, 200, body.subarray(0, 300).toString())
  assert.deepEqual(await decoded(body), { format, width, height: Math.round((width * HEIGHT) / WIDTH) })
  assertSameLook(await lookOf(body), look)
}

/** A JPEG would be shrunk on the way, and that moves colours more than what is to be found. */
async function lookOf(rendition: Buffer): Promise<readonly number[]> {
  return await perceive(await sharp(rendition).png({ compressionLevel: 1 }).toBuffer())
}

function assertSameLook(seen: readonly number[], expected: readonly number[], mostApart = MAX_APART): void {
  const apart = Math.max(...seen.map((value, index) => Math.abs(value - (expected[index] ?? 0))))
  assert.ok(apart <= mostApart, `a part of the picture is ${apart} off`)
}

/** Fails unless the node keeps some mezzanines and the store all, and each of them is whole. */
async function assertSound({ cacheDir }: Darkroom, { keys, read }: Stage): Promise<void> {
  const folder = join(cacheDir, CACHE_FOLDERS.mezzanines)
  const files = await filesBelow(folder)
  assert.ok(files.length > 0)
  for (const file of files) assert.ok(openMezzanine(await readFile(join(folder, file))), `${file} on the disk`)
  const shared = await keys('mezzanines/')
  assert.equal(shared.length, MEZZANINE_LEVELS.length)
  for (const key of shared) assert.ok(openMezzanine(await read(key)), `${key} in the store`)
}

test('After an upload its mezzanines are in the store, and a node that never saw the original needs nothing else', async (t) => {
  const stage = await setStage(t)
  const picture = await takePhotograph(stage, 0)
  const { id } = picture
  const shard = `${id.slice(0, 2)}/${id.slice(2, 4)}`
  const shared = ['1-1536', '1-480', '1-768'].map((name) => `mezzanines/${shard}/${id}/${name}`)
  assert.deepEqual(await stage.keys('mezzanines/'), shared)
  assert.deepEqual(await decoded(await stage.read(shared[0] ?? '')), { format: 'jpeg', width: 1536, height: 1152 })
  assert.deepEqual(await decoded(await stage.read(shared[1] ?? '')), { format: 'jpeg', width: 480, height: 368 })
  assert.deepEqual(await decoded(await stage.read(shared[2] ?? '')), { format: 'jpeg', width: 768, height: 576 })

  const { node, proxy } = await stage.startNodeBehindProxy()
  const image = `${node.url}/image/${id}`
  const [jpeg, webp, negotiated, smaller] = await Promise.all([
    ask(`${image}/400w/x.jpg`),
    ask(`${image}/400w/x.webp`),
    ask(`${image}/400w`, { headers: { Accept: 'image/webp' } }),
    ask(`${image}/160w/x.jpg`),
  ])
  await assertShows(jpeg, picture, 'jpeg', 400)
  await assertShows(webp, picture, 'webp', 400)
  await assertShows(negotiated, picture, 'webp', 400)
  await assertShows(smaller, picture, 'jpeg', 160)
  assert.equal(reads(proxy, 'mezzanines').length, 1, 'one for all of them')
  // Nothing hides in the compression of a PNG: it needs twice its size.
  await assertShows(await ask(`${image}/400w/x.png`), picture, 'png', 400)
  assert.equal(reads(proxy, 'mezzanines').length, 2)
  assert.deepEqual(reads(proxy, 'originals'), [])
  assert.deepEqual(await filesBelow(join(node.cacheDir, CACHE_FOLDERS.originals)), [])

  await assertShows(await ask(`${image}/1400w/x.jpg`), picture, 'jpeg', 1400)
  assert.equal(reads(proxy, 'originals').length, 1, 'for what a mezzanine is too small for')
})

interface Trouble {
  readonly fault: Fault
  /** Of the picture: right all the same, or refused for now. */
  readonly status: 200 | 503
  readonly withinMs: number
  /** What the log says of it, beside a refusal. */
  readonly warning?: RegExp
}

const CUT = /could not be read/
const WRONG = /returned a damaged mezzanine/
const TROUBLES: Readonly<Record<string, Trouble>> = {
  'cuts it in the middle': {
    fault: { kind: 'truncate', afterBytes: 5_000 },
    status: 200,
    withinMs: 3000,
    warning: CUT,
  },
  'stalls in the middle of it': {
    fault: { kind: 'stall', afterBytes: 5_000 },
    status: 200,
    withinMs: 8000,
    warning: CUT,
  },
  'has one wrong bit in its middle': {
    fault: { kind: 'flip', atByte: 5_000 },
    status: 200,
    withinMs: 3000,
    warning: WRONG,
  },
  'has one wrong bit in its first byte': {
    fault: { kind: 'flip', atByte: 0 },
    status: 200,
    withinMs: 3000,
    warning: WRONG,
  },
  'answers 500': { fault: { kind: 'status', status: 500 }, status: 503, withinMs: 3000 },
  'refuses to give it': { fault: { kind: 'status', status: 403, code: 'AccessDenied' }, status: 503, withinMs: 3000 },
  'gives a page of HTML instead': { fault: { kind: 'html' }, status: 503, withinMs: 3000 },
  'is silent about it': { fault: { kind: 'silent' }, status: 503, withinMs: 8000 },
}

test('Whatever becomes of a mezzanine on its way, a viewer sees the right picture or a clean 503', {
  concurrency: 4,
}, async (t) => {
  const stage = await setStage(t)
  const picture = await takePhotograph(stage, 40)
  const assertAll = async ([jpeg, webp, larger]: readonly Answer[]): Promise<void> => {
    assert.ok(jpeg && webp && larger)
    await assertShows(jpeg, picture, 'jpeg', 400)
    await assertShows(webp, picture, 'webp', 400)
    await assertShows(larger, picture, 'jpeg', 600)
  }
  const meet = async (until: TestContext, { fault, status, withinMs, warning }: Trouble): Promise<void> => {
    const { node, proxy } = await stage.startNodeBehindProxy(until)
    const image = `${node.url}/image/${picture.id}`
    const askAll = () =>
      Promise.all([
        ask(`${image}/400w/x.jpg`),
        ask(`${image}/400w`, { headers: { Accept: 'image/webp' } }),
        ask(`${image}/600w/x.jpg`),
      ])
    await proxy.setFault({ ...fault, matching: { method: /^GET$/, path: /\/mezzanines\// } })
    const answers = await askAll()
    for (const { ms } of answers) assert.ok(ms < withinMs, `${ms} ms`)
    assert.ok(reads(proxy, 'mezzanines').length > 0)
    if (status === 200) {
      await assertAll(answers)
      assert.ok(reads(proxy, 'originals').length > 0)
    } else {
      for (const answer of answers) assertUnavailable(answer, /^store_unavailable$/, ['mezzanines/', picture.id])
      assert.deepEqual(await filesBelow(join(node.cacheDir, CACHE_FOLDERS.renditions)), [])
    }
    if (warning) {
      await logged(node, ({ level, msg }) => {
        return level === 'warn' && warning.test(String(msg)) && String(msg).includes(picture.id)
      })
    }
    await backgroundIsDone(node)

    await proxy.setFault(undefined)
    await recoversIn(
      () => ask(`${image}/500w/x.jpg`),
      (answer) => answer.status === 200,
    )
    await assertAll(await askAll())
    await backgroundIsDone(node)
    await assertSound(node, stage)
  }
  await Promise.all(
    Object.entries(TROUBLES).map(([name, trouble]) => t.test(`a store that ${name}`, (until) => meet(until, trouble))),
  )
})

test('A store that refuses to keep mezzanines costs the other nodes the sharing, and is complained of once', async (t) => {
  const stage = await setStage(t)
  const refusal = { kind: 'status', status: 403, code: 'AccessDenied' } as const
  const startRefused = async () => {
    const started = await stage.startNodeBehindProxy()
    await started.proxy.setFault({ ...refusal, matching: { method: /^PUT$/, path: /\/mezzanines\// } })
    return started
  }
  const assertServes = async ({ url }: Darkroom, picture: Photograph, widths: readonly number[]): Promise<void> => {
    for (const width of widths) {
      await assertShows(await ask(`${url}/image/${picture.id}/${width}w/x.jpg`), picture, 'jpeg', width)
    }
  }
  const { node, proxy } = await startRefused()
  const [picture, another] = await Promise.all([photograph(80), photograph(120)])
  for (const taken of [picture, another]) {
    await take(node, taken)
    await assertServes(node, taken, [400])
  }
  // Without the original beside them, so that it is seen what the others are made of.
  await rm(join(node.cacheDir, CACHE_FOLDERS.originals), { recursive: true })
  await assertServes(node, picture, [320, 600, 1200])
  assert.deepEqual(reads(proxy, 'originals'), [])

  const other = await startRefused()
  await assertServes(other.node, picture, [400])
  await backgroundIsDone(other.node)
  await rm(join(other.node.cacheDir, CACHE_FOLDERS.originals), { recursive: true })
  await assertServes(other.node, picture, [320, 600, 1200])
  assert.equal(reads(other.proxy, 'originals').length, 1)
  assert.deepEqual(await stage.keys('mezzanines/'), [])

  for (const each of [node, other.node]) {
    await logged(each, ({ path }) => String(path).includes('/1200w/'))
    const complaints = (await each.log()).filter(({ level }) => level !== 'info')
    assert.deepEqual(
      complaints.map(({ level, msg }) => [level, msg]),
      [['warn', 'A mezzanine could not be written to the object store: other nodes will render their own']],
    )
  }
})

test('A mezzanine that the disk damages while the node is down is not believed, with or without the original beside it', async (t) => {
  const stage = await setStage(t)
  const cacheDir = await temporaryFolder(t)
  const picture = await photograph(160)
  const first = await stage.startNode({ CACHE_DIR: cacheDir })
  await take(first, picture)
  const path = `/image/${picture.id}/400w/x.jpg`
  const before = await ask(`${first.url}${path}`)
  await assertShows(before, picture, 'jpeg', 400)
  await first.stop()

  for (const hasOriginal of [true, false]) {
    await rm(join(cacheDir, CACHE_FOLDERS.renditions), { recursive: true })
    if (!hasOriginal) await rm(join(cacheDir, CACHE_FOLDERS.originals), { recursive: true })
    for (const level of MEZZANINE_LEVELS) {
      const file = join(cacheDir, CACHE_FOLDERS.mezzanines, mezzanineFolder(picture.id), mezzanineFile(level))
      const bytes = await readFile(file)
      const middle = Math.floor(bytes.length / 2)
      await writeFile(file, Buffer.from(bytes).fill(0, middle, middle + 4096))
    }
    const node = await stage.startNode({ CACHE_DIR: cacheDir })
    const after = await ask(`${node.url}${path}`)
    await assertShows(after, picture, 'jpeg', 400)
    assertSameLook(await lookOf(after.body), await lookOf(before.body), 3)
    for (const width of [320, 600, 1200]) {
      await assertShows(await ask(`${node.url}/image/${picture.id}/${width}w/x.jpg`), picture, 'jpeg', width)
    }
    await backgroundIsDone(node)
    await assertSound(node, stage)
    await node.stop()
  }
})

test('A deletion takes the mezzanines along, and nobody makes a picture of those that a crash leaves behind', async (t) => {
  const stage = await setStage(t)
  const picture = await photograph(200)
  const { id } = picture
  const [first, second] = [await stage.startNode(), await stage.startNode()]
  await take(first, picture)
  for (const { url } of [first, second]) {
    for (const width of [400, 1000]) {
      await assertShows(await ask(`${url}/image/${id}/${width}w/x.jpg`), picture, 'jpeg', width)
    }
  }
  await assertSound(second, stage)
  const kept = await Promise.all(mezzanineKeys(id).map(async (key) => ({ key, bytes: await stage.read(key) })))
  assert.equal((await ask(`${second.url}/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })).status, 204)
  const deletedAt = performance.now()
  for (const prefix of ['mezzanines/', 'originals/', 'records/']) assert.deepEqual(await stage.keys(prefix), [])
  for (;;) {
    const askedAt = performance.now()
    if ((await ask(`${first.url}/image/${id}/400w/x.jpg`)).status !== 200) break
    assert.ok(askedAt - deletedAt < EVERYWHERE_MS)
    await delay(20)
  }
  const assertGone = async (node: Darkroom): Promise<void> => {
    for (const path of ['400w/x.jpg', '400w', '160w/x.webp', '600w/x.jpg', '1200w/x.jpg', 'full/x.jpg']) {
      const { status, headers, body } = await ask(`${node.url}/image/${id}/${path}`)
      assert.equal(status, 410, `${path} of the node ${node.pid}: ${body.toString()}`)
      assert.equal(headers.get('cache-control'), 'no-store')
      assert.equal(jsonFields(body).error, 'original_deleted')
    }
    await backgroundIsDone(node)
    for (const folder of [CACHE_FOLDERS.mezzanines, CACHE_FOLDERS.renditions, CACHE_FOLDERS.originals]) {
      assert.deepEqual(await filesBelow(join(node.cacheDir, folder)), [], folder)
    }
  }
  for (const node of [first, second]) await assertGone(node)
  assert.deepEqual(await stage.keys('mezzanines/'), [])

  for (const { key, bytes } of kept) await stage.write(key, bytes)
  for (const node of [first, second, await stage.startNode()]) await assertGone(node)
})

for (const ms of [300, 1500]) {
  test(`Deleted by another node while its mezzanines are on their way for ${ms} ms, an image leaves none in the store`, async (t) => {
    const stage = await setStage(t)
    const picture = await photograph(240)
    const { node, proxy } = await stage.startNodeBehindProxy()
    const other = await stage.startNode()
    await proxy.setFault({ kind: 'latency', ms, matching: { method: /^PUT$/, path: /\/mezzanines\// } })
    assert.equal((await upload(node.url, picture.bytes)).status, 201)
    while (!proxy.requests.some((request) => /^PUT .*\/mezzanines\//.test(request))) await delay(5)
    assert.equal(
      (await ask(`${other.url}/images/${picture.id}`, { method: 'DELETE', headers: AUTHORIZATION })).status,
      204,
    )
    await backgroundIsDone(node)
    assert.deepEqual(await stage.keys('mezzanines/'), [])
  })
}

test('A viewer who leaves while a mezzanine is on its way is no trouble, and the next one gets it', async (t) => {
  const stage = await setStage(t)
  const picture = await takePhotograph(stage, 20)
  const { node, proxy } = await stage.startNodeBehindProxy()
  const path = `/image/${picture.id}/400w/x.jpg`
  await proxy.setFault({
    kind: 'throttle',
    bytesPerSecond: 20_000,
    matching: { method: /^GET$/, path: /\/mezzanines\// },
  })
  const leaving = fetch(`${node.url}${path}`, { signal: AbortSignal.timeout(1000) })
  await assert.rejects(leaving, { name: 'TimeoutError' })
  await proxy.setFault(undefined)
  await assertShows(await ask(`${node.url}${path}`), picture, 'jpeg', 400)
  assert.deepEqual(reads(proxy, 'originals'), [])
  await logged(node, ({ path: asked, status }) => asked === path && status === 200)
  const log = await node.log()
  assert.deepEqual(
    log.filter(({ level }) => level !== 'info'),
    [],
  )
  assert.ok(log.some(({ path: asked, status }) => asked === path && status === 499))
})
