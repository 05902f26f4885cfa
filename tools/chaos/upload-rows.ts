import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import type { ImageEvent } from '../../src/domain/info/image-event.ts'
import { OUTBOX_PREFIX, parseBatch } from '../../src/domain/stored/outbox-batch.ts'
import { readText } from '../../src/service/tools/small-object.ts'
import { surviveCrashes } from '../crash/crash.ts'
import { s3CrashStore } from '../crash/crash-stores.ts'
import { noisePicture } from '../pictures/picture.ts'
import { commandOutput } from '../processes/process.ts'
import { assertUnavailable, recoversIn } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { keysOf } from '../s3/s3-bucket.ts'
import { AUTHORIZATION, startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { setStage, startNode, upload } from './stage.ts'
import { damagedOriginals } from './stored-originals.ts'

const never = new AbortController().signal

async function killedInWrite(scope: RowScope): Promise<void> {
  const store = await s3CrashStore()
  scope.after(store.close)
  const cacheDir = `${await temporaryFolder(scope)}/cache`
  const rounds = scope.short ? 3 : 10
  const report = await surviveCrashes({ rounds, seed: 20, cacheDir, ...store })
  scope.tally.add(200, report.shown)
  scope.tally.add(201, report.acknowledged)
  const left = Number(await commandOutput('sh', ['-c', `find ${cacheDir}/tmp -type f | wc -l`]))
  scope.says(
    `${rounds} kills: ${report.files} cached files all whole, ${report.acknowledged} uploads acknowledged and all there, ` +
      `${report.repeated} repeated, ${report.shown} pictures shown; ${left} orphans`,
  )
}

async function killedInUpload(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const cacheDir = stage.node.cacheDir
  const env = { ...stage.env, CACHE_DIR: `${await temporaryFolder(scope)}/cache`, PORT: String(stage.node.port) }
  assert.notEqual(env.CACHE_DIR, cacheDir)
  await stage.node.stop()
  const times = scope.short ? 2 : 6
  let taken = 0
  for (let round = 0; round < times; round += 1) {
    const node = await startNode(scope, { env })
    const pictures = await Promise.all(
      Array.from({ length: 4 }, (_, at) => noisePicture(500 + round * 10 + at, 600, 500)),
    )
    // Slow enough to be killed in the middle: of an original, or of a record.
    const path = round % 2 === 0 ? /\/originals\// : /\/records\//
    await stage.proxy.setFault({ kind: 'latency', ms: 400, matching: { method: /^PUT$/, path } })
    stage.proxy.requests.length = 0
    const uploads = pictures.map(({ bytes }) => upload(scope, stage.url, bytes))
    const settled = Promise.all(uploads)
    settled.catch(() => {})
    while (!stage.proxy.requests.some((request) => request.startsWith('PUT ') && path.test(request))) await delay(5)
    await delay(round * 60)
    process.kill(node.pid, 'SIGKILL')
    for (const { status } of await settled) if (status < 300) taken += 1
    await node.stop()
    await stage.proxy.setFault(undefined)
    assert.deepEqual(await damagedOriginals(stage.store), [])
    const next = await startNode(scope, { env })
    for (const { id, bytes } of pictures) {
      const right = ({ status, body }: { status: number; body: Buffer }): boolean =>
        (status === 200 || status === 201) && jsonFields(body)['id'] === id
      scope.recovered(await recoversIn(() => upload(scope, stage.url, bytes), right))
    }
    await next.stop()
  }
  assert.deepEqual(await damagedOriginals(stage.store), [])
  scope.says(
    `${times} kills with 4 uploads under way each: ${taken} acknowledged before, all taken when repeated, no object whose hash is not its name`,
  )
}

async function sameFromTwo(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const second = await startNode(scope, { env: stage.env })
  const other = await startNginxFor(scope, second, { directHits: false })
  const count = scope.short ? 5 : 25
  for (let round = 0; round < count; round += 1) {
    const { id, bytes } = await noisePicture(700 + round)
    const urls = [stage.url, other.origin, stage.url, other.origin]
    for (const answer of await Promise.all(urls.map((url) => upload(scope, url, bytes)))) {
      assert.ok(answer.status === 201 || answer.status === 200, answer.body.toString())
      assert.equal(jsonFields(answer.body)['id'], id)
    }
  }
  const store = createS3Store(stage.store)
  scope.after(() => store.close())
  const originals = await keysOf(store, 'originals/', never)
  // And the stage's own two.
  assert.equal(originals.length, count + 2)
  assert.deepEqual(await damagedOriginals(stage.store), [])
  scope.says(`${count} images four times at once through two nodes: all 2xx with one id each, ${count} objects`)
}

/** The events of all batches in the store. */
async function storedEvents(settings: Parameters<typeof createS3Store>[0]): Promise<readonly ImageEvent[]> {
  const store = createS3Store(settings)
  try {
    const keys = await keysOf(store, OUTBOX_PREFIX, never)
    const texts = await Promise.all(keys.map((key) => readText(store, key, never)))
    return texts.flatMap((text) => parseBatch(text ?? '').events)
  } finally {
    store.close()
  }
}

async function outboxRefused(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const before = (await storedEvents(stage.store)).length
  const count = scope.short ? 4 : 25
  const pictures = await Promise.all(Array.from({ length: count }, (_, at) => noisePicture(900 + at)))
  const { id: deleted } = stage.fresh
  const remove = () => scope.tally.ask(`${stage.url}/images/${deleted}`, { method: 'DELETE', headers: AUTHORIZATION })
  await stage.proxy.setFault({ kind: 'status', status: 500, matching: { method: /^PUT$/, path: /\/outbox\// } })
  for (const { bytes } of pictures) assertUnavailable(await upload(scope, stage.url, bytes), /^store_unavailable$/)
  assertUnavailable(await remove(), /^store_unavailable$/)
  assert.equal((await storedEvents(stage.store)).length, before)
  await stage.proxy.setFault(undefined)
  for (const { id, bytes } of pictures) {
    const right = ({ status, body }: { status: number; body: Buffer }): boolean =>
      (status === 200 || status === 201) && jsonFields(body)['id'] === id
    scope.recovered(await recoversIn(() => upload(scope, stage.url, bytes), right))
    assert.equal((await upload(scope, stage.url, bytes)).status, 200)
  }
  for (let times = 0; times < 2; times += 1) assert.equal((await remove()).status, 204)
  const events = (await storedEvents(stage.store)).slice(before)
  for (const { id } of pictures) assert.equal(events.filter(({ subject }) => subject === id).length, 1)
  assert.deepEqual(
    events.filter(({ type }) => type === 'image.deleted').map(({ subject }) => subject),
    [deleted],
  )
  scope.says(`${count} uploads and a deletion 503, nothing acknowledged; repeated, each has the same id and one event`)
}

export const UPLOAD_ROWS: readonly FaultRow[] = [
  {
    row: 20,
    fault: 'kill -9 during a write',
    what: 'A node is killed repeatedly during renders and uploads; after each kill all files are decoded',
    run: killedInWrite,
  },
  {
    row: 21,
    fault: 'kill -9 during an upload',
    what: 'A node is killed while it puts an original, or a record, into the store; then everything is uploaded again',
    run: killedInUpload,
  },
  {
    row: 22,
    fault: 'two nodes upload the same image',
    what: 'The same image is uploaded to two nodes concurrently, twice to each',
    run: sameFromTwo,
  },
  {
    row: 38,
    fault: 'outbox cannot be written',
    what: 'The store refuses to write events, during uploads and a deletion; then all are repeated',
    run: outboxRefused,
  },
]
