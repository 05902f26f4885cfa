import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EVERYBODY, OVERLOAD_FLAGS } from '../../src/domain/stored/cache-layout.ts'
import { assertPicture, noisePicture } from '../../tools/pictures/picture.ts'
import { createRandom } from '../../tools/pictures/seeded-random.ts'
import { type Answer, ask, assertUnavailable, filesBelow, post } from '../../tools/requests/ask.ts'
import { type Goodput, perSecond, viewAll } from '../../tools/requests/goodput.ts'
import { percentile } from '../../tools/requests/percentile.ts'
import { askAndLeave, slowest, trickle } from '../../tools/requests/slow-clients.ts'
import { type Darkroom, untilLogged } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { assertNothingBusy, type Footprint, footprint, settledFootprint } from '../../tools/servers/footprint.ts'
import { AUTHORIZATION, newStore, startNodeFor, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const MIB = 1024 * 1024

describe('clients that leave or dawdle', { concurrency: 3 }, () => {
  test('a thousand requests whose clients leave hold no place, no file and no memory', async (t) => {
    const node = await startNodeFor(t)
    const { id, bytes } = await noisePicture(1, 1000, 800)
    assert.equal((await post(node.url, bytes)).status, 201)
    const random = createRandom(3)
    let width = 20
    const leave = async (count: number): Promise<void> => {
      const clients = Array.from({ length: 50 }, async () => {
        for (let turn = 0; turn < count / 50; turn += 1) {
          width += 1
          const path =
            turn % 10 === 0 ? `/images/${id}/original` : `/image/${id}/${width % 900}w,q${width % 89}1/x.webp`
          await askAndLeave(`${node.url}${path}`, random() % 30, AUTHORIZATION)
        }
      })
      await Promise.all(clients)
      await assertNothingBusy(node)
    }
    // Whatever is made once and kept is there after these.
    await leave(300)
    const thousandLeave = async (filesBefore: number): Promise<Footprint> => {
      await leave(1000)
      await Promise.all(Array.from({ length: 40 }, () => uploadAndLeave(node, bytes)))
      await assertNothingUnfinished(node)
      await assertNothingBusy(node)
      return await settledFootprint(node, filesBefore)
    }
    let before = await footprint(node)
    let after = await thousandLeave(before.files)
    if (after.files > before.files) {
      // A worker of the node can have been started meanwhile: what is lost with clients is lost with the next thousand too.
      t.diagnostic(`${after.files - before.files} files more after the first thousand`)
      before = after
      after = await thousandLeave(before.files)
    }
    t.diagnostic(
      `${before.files} open files and ${toMib(before.rssBytes)} before, ${after.files} and ${toMib(after.rssBytes)} after`,
    )
    assert.ok(after.files <= before.files)
    assert.ok(after.rssBytes < before.rssBytes + 100 * MIB)
    await assertPicture((await ask(`${node.url}/image/${id}/33w/x.jpg`)).body, { format: 'jpeg', width: 33 })
  })

  test('clients who leave while the store is silent give their calls back', async (t) => {
    const { endpoint, env } = await newStore()
    const proxy = await startFaultProxy({ target: endpoint })
    t.after(() => proxy.stop())
    const node = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint } })
    await proxy.setFault({ kind: 'silent', matching: { path: /\/originals\// } })
    const ids = Array.from({ length: 200 }, (_, at) => String(at + 1).padStart(40, '0'))
    await Promise.all(ids.map((id) => askAndLeave(`${node.url}/image/${id}/40w`, 300)))
    await assertNothingBusy(node)
    // The proxy hears of the end of a connection some time after the node has ended it.
    for (let tries = 0; proxy.openConnections() > 8 && tries < 200; tries += 1) await delay(50)
    assert.ok(proxy.openConnections() <= 8, `${proxy.openConnections()} connections`)
    await proxy.setFault(undefined)
    const { id, bytes } = await noisePicture(2)
    let uploaded = await post(node.url, bytes)
    // Calls that were too slow rather than left may have opened the breaker; it closes by itself.
    for (; uploaded.status === 503; uploaded = await post(node.url, bytes)) await delay(100)
    assert.equal(uploaded.status, 201)
    assert.equal((await ask(`${node.url}/image/${id}/40w/x.jpg`)).status, 200)
  })

  test('heads and bodies that trickle in, silence, and answers that nobody reads are ended in time, and a good client notices nothing', async (t) => {
    const node = await startNodeFor(t)
    const { id, bytes } = await noisePicture(4)
    assert.equal((await post(node.url, bytes)).status, 201)
    const heads = Array.from({ length: 250 }, () =>
      trickle(t, node.port, `GET /image/${id}/40w HTTP/1.1\r\nHost: x\r\nX-Slow: `),
    )
    const upload = uploadHead(node, 5000)
    const bodies = Array.from({ length: 250 }, () => trickle(t, node.port, upload))
    const silent = Array.from({ length: 20 }, () => trickle(t, node.port, ''))
    const large = await noisePicture(6, 2600, 2000)
    assert.equal((await post(node.url, large.bytes)).status, 201)
    const reader = startLateReader(t, node, `/images/${large.id}/original`)
    const ending = { over: false }
    const ends = Promise.all([Promise.all(heads), Promise.all(bodies), Promise.all(silent), reader.cut]).finally(() => {
      ending.over = true
    })
    const times: number[] = []
    while (!ending.over) {
      const width = 20 + (times.length % 200)
      const answer = await ask(`${node.url}/image/${id}/${width}w,up/x.jpg`)
      assert.equal(answer.status, 200)
      times.push(answer.ms)
      await delay(20)
    }
    const [headEnds, bodyEnds, silentEnds] = await ends
    assert.ok((await reader.read()) < large.bytes.length, 'who reads nothing is not waited for')
    for (const { said } of [...headEnds, ...bodyEnds, ...silentEnds]) assert.match(said, /^HTTP\/1\.1 408 /)
    for (const { said } of bodyEnds) assert.match(said, /"client_too_slow"/)
    const [head, body, p99] = [slowest([...headEnds, ...silentEnds]), slowest(bodyEnds), percentile(times, 0.99)]
    t.diagnostic(
      `heads ended after ${head} ms, bodies after ${body} ms; the good client's p99 of ${times.length}: ${p99} ms`,
    )
    assert.ok(head < 15_000 && body < 35_000)
    assert.ok(p99 < 1000)
    await assertNothingUnfinished(node)
    await assertNothingBusy(node)
  })
})

test('beyond the queue a request is refused at once, while those in it are served as fast as before', async (t) => {
  const node = await startNodeFor(t, { env: { RENDER_CONCURRENCY: '1', RENDER_QUEUE_MAX: '10' } })
  const { id, bytes } = await noisePicture(5, 1000, 800)
  assert.equal((await post(node.url, bytes)).status, 201)
  let size = 0
  const next = (): Promise<Answer> => {
    size += 1
    return ask(`${node.url}/image/${id}/${400 + (size % 20)}w,q${1 + Math.floor(size / 20)}/x.webp`)
  }
  const refused: Answer[] = []
  const peak: Goodput[] = []
  const overload: Goodput[] = []
  // By turns: whatever else the machine does takes from both.
  for (let turn = 0; turn < 4; turn += 1) {
    peak.push(await viewAll({ clients: 8, seconds: 1 }, next))
    const onRefused = (answer: Answer): void => {
      assertUnavailable(answer, /^overloaded$/)
      refused.push(answer)
    }
    overload.push(await viewAll({ clients: 40, seconds: 1 }, next, onRefused))
  }
  const [before, then] = [perSecond(peak), perSecond(overload)]
  const times = refused.map(({ ms }) => ms)
  t.diagnostic(
    `${Math.round(before)} pictures a second with 8 clients, ${Math.round(then)} with 40; ` +
      `${times.length} refused in ${percentile(times, 0.5)} ms at the median, p99 ${percentile(times, 0.99)} ms`,
  )
  assert.ok(times.length > 50)
  assert.ok(percentile(times, 0.5) < 100 && percentile(times, 0.99) < 500)
  assert.ok(then > 0.7 * before)
})

test('under overload nobody looks again for a file that nginx has not found, nginx is told, and what is on disk goes on', async (t) => {
  const folder = await temporaryFolder(t)
  const env = {
    STORE: `file:${folder}/store`,
    CACHE_DIR: join(folder, 'cache'),
    ACCEL_PREFIX: '/_renditions/',
    UPLOAD_TOKENS: TOKEN,
    RENDER_CONCURRENCY: '1',
  }
  const first = await startNodeFor(t, { env })
  const { id, bytes } = await noisePicture(6, 2000, 2000)
  assert.equal((await post(first.url, bytes, TOKEN)).status, 201)
  const allOnDisk = Array.from({ length: 20 }, (_, at) => `/image/${id}/${300 + at}w/x.webp`)
  for (const path of allOnDisk) assert.equal((await ask(`${first.url}${path}`)).status, 200)
  await first.stop()
  const flags = [EVERYBODY, '127.0.0.1', '192.0.2.7'].map((name) => join(env.CACHE_DIR, OVERLOAD_FLAGS, name))
  await mkdir(join(env.CACHE_DIR, OVERLOAD_FLAGS))
  for (const flag of flags) await writeFile(flag, '')
  // This one's memory does not know of the file.
  const node = await startNodeFor(t, { env: { ...env, RENDER_WAIT_MAX_SECONDS: '0.1' } })
  await untilGone(flags)
  const unseen = { headers: { 'X-Not-On-Disk': '1' } }
  const before = await node.metric('darkroom_http_requests_total', '{method="GET",status="503"}')
  const load = { over: false, asked: 0 }
  const view = async (): Promise<void> => {
    while (!load.over) {
      load.asked += 1
      await ask(`${node.url}/image/${id}/${1000 + (load.asked % 1000)}w/x.avif`)
      await delay(20)
    }
  }
  const views = Promise.all(Array.from({ length: 8 }, view))
  const requestId = 'the-refused-one'
  const asRefused = { headers: { ...unseen.headers, 'X-Request-Id': requestId } }
  let [onDisk = ''] = allOnDisk
  let refused = await ask(`${node.url}${onDisk}?a=b`, asRefused)
  // Now and then there is room for a moment, and then the file is found.
  for (let at = 1; refused.status === 200; at += 1) {
    onDisk = allOnDisk[at % allOnDisk.length] ?? ''
    refused = await ask(`${node.url}${onDisk}?a=b`, asRefused)
  }
  assertUnavailable(refused, /^overloaded$/)
  assert.match(refused.headers.get('content-security-policy') ?? '', /^default-src 'none'/)
  assert.equal((await ask(`${node.url}${onDisk}`)).status, 200)
  while (!flags.some((flag) => existsSync(flag))) await ask(`${node.url}${onDisk}`, unseen)
  load.over = true
  await views
  await untilGone(flags)
  assert.ok((await node.metric('darkroom_http_requests_total', '{method="GET",status="503"}')) > before)
  const line = await untilLogged(node, (each) => each['requestId'] === requestId && each['status'] === 503)
  const { time: _, seconds: __, ...said } = line
  assert.deepEqual(said, {
    level: 'warn',
    msg: 'request',
    requestId,
    client: '127.0.0.1',
    method: 'GET',
    path: onDisk,
    status: 503,
    bytes: refused.body.length,
    tier: '',
    error: 'overloaded',
  })
})

async function untilGone(paths: readonly string[]): Promise<void> {
  while (paths.some((path) => existsSync(path))) await delay(10)
}

function uploadHead({ port }: Darkroom, sizeBytes: number): string {
  const headers = {
    Host: `127.0.0.1:${port}`,
    ...AUTHORIZATION,
    'Content-Type': 'image/png',
    'Content-Length': sizeBytes,
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST /images HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** Sends half of an upload and is gone. */
async function uploadAndLeave(node: Darkroom, bytes: Buffer): Promise<void> {
  const socket = connect(node.port, '127.0.0.1')
  socket.write(uploadHead(node, bytes.length))
  const sent = Promise.withResolvers<void>()
  socket.write(bytes.subarray(0, bytes.length / 2), () => sent.resolve())
  await sent.promise
  socket.destroy()
}

interface LateReader {
  /** When the node's log says that it is done with the request. */
  readonly cut: Promise<void>
  /** Then: how many bytes there are to be read. */
  read(): Promise<number>
}

/** Asks, and reads nothing of the answer. */
function startLateReader(t: TestContext, node: Darkroom, path: string): LateReader {
  const socket = connect(node.port, '127.0.0.1')
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  socket.pause()
  const { Authorization } = AUTHORIZATION
  const headers = `Host: 127.0.0.1:${node.port}\r\nAuthorization: ${Authorization}\r\nConnection: close`
  socket.write(`GET ${path} HTTP/1.1\r\n${headers}\r\n\r\n`)
  const isOver = async () => (await node.log()).some((line) => line['path'] === path)
  return {
    cut: (async () => {
      for (let seconds = 0; seconds < 60 && !(await isOver()); seconds += 1) await delay(1000)
    })(),
    async read() {
      let sizeBytes = 0
      socket.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
      })
      const closed = once(socket, 'close')
      socket.resume()
      await closed
      return sizeBytes
    },
  }
}

/** What was received in part is removed a moment after its client has gone. */
async function assertNothingUnfinished({ cacheDir }: Darkroom): Promise<void> {
  let files: string[] = []
  for (let tenths = 0; tenths < 50; tenths += 1) {
    files = await filesBelow(join(cacheDir, 'tmp'))
    if (files.length === 0) return
    await delay(100)
  }
  assert.fail(`Still there: ${files.join(', ')}`)
}

function toMib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`
}
