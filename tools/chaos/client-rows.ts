import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { idOf, noisePicture } from '../pictures/picture.ts'
import type { Scope } from '../processes/scope.ts'
import { type Answer, ask, filesBelow } from '../requests/ask.ts'
import { type Goodput, perSecond, viewAll } from '../requests/goodput.ts'
import { percentile } from '../requests/percentile.ts'
import { untilClosed } from '../requests/raw-exchange.ts'
import { askAndLeave, type End, slowest, trickle } from '../requests/slow-clients.ts'
import { backgroundIsDone } from '../servers/darkroom.ts'
import { assertNothingBusy, footprint, settledFootprint } from '../servers/footprint.ts'
import { AUTHORIZATION, TOKEN } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { setStage } from './stage.ts'

const MIB = 1024 * 1024

async function leaving(scope: RowScope): Promise<void> {
  const { node, url, post } = await setStage(scope)
  const { id, bytes } = await noisePicture(1, 1000, 800)
  assert.equal((await post(bytes)).status, 201)
  let width = 20
  const leave = async (count: number): Promise<void> => {
    const clients = Array.from({ length: 50 }, async () => {
      for (let turn = 0; turn < count / 50; turn += 1) {
        width += 1
        await askAndLeave(`${url}/image/${id}/${width % 900}w,q${1 + (width % 89)}/x.webp`, width % 30)
      }
    })
    await Promise.all(clients)
    await assertNothingBusy(node)
  }
  // Whatever is made once and kept is there after these.
  await leave(500)
  const before = await footprint(node)
  await leave(1000)
  const after = await settledFootprint(node, before.files)
  const rss = [before.rssBytes, after.rssBytes].map((size) => Math.round(size / MIB))
  scope.says(`0 places busy; ${before.files} open files before, ${after.files} after; ${rss.join(' and ')} MiB`)
  assert.ok(after.files <= before.files + 5 && after.rssBytes < before.rssBytes + 100 * MIB)
  assert.equal((await scope.tally.ask(`${url}/image/${id}/33w/x.jpg`)).status, 200)
  assert.deepEqual(await filesBelow(`${node.cacheDir}/tmp`), [])
}

/** Gets one answer, and is silent from then on. */
async function idle(scope: Scope, port: number): Promise<End> {
  const began = performance.now()
  const socket = connect(port, '127.0.0.1')
  scope.after(() => socket.destroy())
  socket.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n')
  await untilClosed(socket)
  return { ms: performance.now() - began, said: '' }
}

async function dawdling(scope: RowScope): Promise<void> {
  const { node, nginx, url, post } = await setStage(scope)
  const { id, bytes } = await noisePicture(4)
  assert.equal((await post(bytes)).status, 201)
  const times = scope.short ? 20 : 125
  const many = (port: number, beginning: string): Promise<End[]> =>
    Promise.all(Array.from({ length: times }, () => trickle(scope, port, beginning)))
  const head = `GET /image/${id}/40w HTTP/1.1\r\nHost: x\r\nX-Slow: `
  const body = `POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n`
  const idles = scope.short
    ? []
    : Array.from({ length: times }, (_, at) => idle(scope, at % 2 === 0 ? node.port : nginx.port))
  const ends = Promise.all([
    Promise.all([many(node.port, head), many(nginx.port, head)]),
    Promise.all([many(node.port, body), many(nginx.port, body)]),
    Promise.all(idles),
  ])
  const ending = { over: false }
  const ended = ends.finally(() => {
    ending.over = true
  })
  ended.catch(() => {})
  const waits: number[] = []
  while (!ending.over) {
    const answer = await scope.tally.ask(`${url}/image/${id}/${20 + (waits.length % 200)}w,up/x.jpg`)
    assert.equal(answer.status, 200)
    waits.push(answer.ms)
    await delay(20)
  }
  const [heads, bodies, silences] = await ended
  // nginx ends a head that is late without a word.
  for (const { said } of [...(heads[0] ?? []), ...bodies.flat()]) assert.match(said, /^HTTP\/1\.1 408 /)
  const [headMs, bodyMs, p99] = [slowest(heads.flat()), slowest(bodies.flat()), percentile(waits, 0.99)]
  const idleMs = silences.length > 0 ? slowest(silences) : 0
  scope.says(
    `${4 * times + silences.length} slow ones: heads ended after ${headMs} ms, bodies after ${bodyMs} ms, idle ones after ${idleMs} ms; ` +
      `the good client's p99 of ${waits.length}: ${p99} ms`,
  )
  assert.ok(headMs < 16_000 && bodyMs < 36_000 && idleMs < 66_000 && p99 < 1000)
  await assertNothingBusy(node)
}

const GOODPUT_TURNS = 4
const GOODPUT_SECONDS = 3

async function overload(scope: RowScope): Promise<void> {
  const { url, post } = await setStage(scope, { env: { RENDER_CONCURRENCY: '1', RENDER_QUEUE_MAX: '10' } })
  const { id, bytes } = await noisePicture(5, 1000, 800)
  assert.equal((await post(bytes)).status, 201)
  let size = 0
  const next = (): Promise<Answer> => {
    size += 1
    return scope.tally.ask(`${url}/image/${id}/${400 + (size % 100)}w,q${1 + Math.floor(size / 100)}/x.webp`)
  }
  const refused: number[] = []
  const ofFew: Goodput[] = []
  const ofMany: Goodput[] = []
  // By turns: whatever else the machine does takes from both.
  for (let turn = 0; turn < GOODPUT_TURNS; turn += 1) {
    ofFew.push(await viewAll({ clients: 8, seconds: GOODPUT_SECONDS }, next))
    ofMany.push(await viewAll({ clients: 24, seconds: GOODPUT_SECONDS }, next, ({ ms }) => refused.push(ms)))
  }
  const [peak, overloaded] = [perSecond(ofFew), perSecond(ofMany)]
  const share = Math.round((100 * overloaded) / peak)
  scope.says(
    `${peak.toFixed(0)} pictures a second with 8 clients, ${overloaded.toFixed(0)} (${share} %) with 24; ${refused.length} refused, ` +
      `in ${percentile(refused, 0.5)} ms at the median`,
  )
  assert.ok(refused.length > 20 && percentile(refused, 0.5) < 100 && share >= 80)
}

/** Renders that all run at once, however few cores there are, and may take the time that this costs. */
const EIGHT_AT_ONCE = {
  RENDER_CONCURRENCY: '8',
  RENDER_TIMEOUT_SECONDS: '120',
  REQUEST_TIMEOUT_SECONDS: '180',
} as const

async function blocked(scope: RowScope): Promise<void> {
  const { node, url, post } = await setStage(scope, { env: EIGHT_AT_ONCE })
  const noise = sharp((await noisePicture(6, 600, 400)).bytes)
  const large = await noise.resize({ width: 6000, height: 4000, fit: 'fill' }).jpeg().toBuffer()
  assert.equal((await post(large)).status, 201)
  // Its mezzanines would have one of the eight places.
  await backgroundIsDone(node)
  const over = new AbortController()
  const renders = Array.from({ length: 8 }, (_, at) =>
    ask(`${url}/image/${idOf(large)}/full,q${41 + at}/x.avif`, { signal: over.signal }).catch(() => undefined),
  )
  const active = () => node.metric('darkroom_renders_in_progress')
  while ((await active()) < 8) await delay(100)
  const waits: number[] = []
  const lags: number[] = []
  const most = scope.short ? 50 : 400
  while (waits.length < most && (await active()) === 8) {
    for (let times = 0; times < 10; times += 1) {
      const { status, ms } = await scope.tally.ask(`${node.url}/healthz`)
      assert.equal(status, 200)
      waits.push(ms)
      await delay(20)
    }
    // The most since it was last asked for.
    lags.push(await node.metric('nodejs_eventloop_lag_max_seconds'))
  }
  const p99 = percentile(waits, 0.99)
  const lagMs = Math.ceil(1000 * Math.max(...lags))
  over.abort()
  await Promise.all(renders)
  scope.says(
    `8 AVIFs of 24 MP at once; ${waits.length} health checks meanwhile: p99 ${p99} ms, slowest ${Math.round(Math.max(...waits))} ms; the metric says ${lagMs} ms`,
  )
  assert.ok(waits.length >= 50 && p99 < 100 && lagMs > 0)
  assert.equal((await scope.tally.ask(`${url}/images/${idOf(large)}`, { headers: AUTHORIZATION })).status, 200)
}

export const CLIENT_ROWS: readonly FaultRow[] = [
  {
    row: 23,
    fault: 'client disconnects',
    what: '1,000 clients request new sizes and disconnect within 30 ms',
    run: leaving,
  },
  {
    row: 24,
    fault: 'slow-loris headers, body, idle',
    what: '500 request heads and bodies at one byte per second, to the node and to nginx, and 125 idle connections',
    run: dawdling,
  },
  {
    row: 29,
    fault: 'event loop blocked',
    what: 'Eight AVIFs of 24 megapixels are encoded at once during health checks',
    run: blocked,
  },
  {
    row: 30,
    fault: 'overload',
    what: 'Three times the clients that saturate one renderer, with a queue of ten',
    run: overload,
  },
]
