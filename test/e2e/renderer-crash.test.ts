import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { assertPicture, idOf } from '../../tools/pictures/picture.ts'
import { rendererPids } from '../../tools/processes/renderers.ts'
import { ask } from '../../tools/requests/ask.ts'
import { type Darkroom, fixture, startDarkroom, upload, uploadFixture } from '../../tools/servers/darkroom.ts'

/** A minute is what has been promised; a run of the whole suite has no time for it. */
const CRASH_SECONDS = Number(process.env['RENDER_CRASH_SECONDS'] ?? 8)
const VIEWERS = 8
const HEALTH_MS = 5000

async function startNode(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Darkroom> {
  const node = await startDarkroom({ env })
  t.after(() => node.stop())
  return node
}

test('Renderers that crash once a second fail no request, and leave the node running', async (t) => {
  // Every view is made from the original: the most that a renderer does.
  const node = await startNode(t, { MEZZANINE_MIN_PIXELS: '0' })
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const ending = new AbortController()
  const { signal } = ending
  let views = 0
  const view = async (): Promise<void> => {
    while (!signal.aborted) {
      views += 1
      // Nobody has asked for it before.
      const quality = 1 + (views % 100)
      const width = 400 - Math.floor(views / 100)
      const { status, body } = await ask(`${node.url}/image/${id}/${width}w,q${quality}/x.jpg`)
      assert.equal(status, 200, body.toString().slice(0, 200))
      await assertPicture(body, { format: 'jpeg', width })
    }
  }
  const viewers = Promise.all(
    Array.from({ length: VIEWERS }, () =>
      view().finally(() => {
        ending.abort()
      }),
    ),
  )
  // Whoever awaits them hears of it.
  viewers.catch(() => {})
  let kills = 0
  for (let second = 0; second < CRASH_SECONDS && !signal.aborted; second += 1) {
    await Promise.race([delay(1000), once(signal, 'abort')])
    const pids = await rendererPids(node.pid)
    const pid = pids[second % pids.length]
    if (pid === undefined) continue
    process.kill(pid, 'SIGSEGV')
    kills += 1
  }
  ending.abort()
  await viewers
  assert.equal(kills, CRASH_SECONDS)
  assert.equal(await node.metric('darkroom_renderer_crashes_total'), kills)
  assert.equal((await ask(`${node.url}/readyz`)).status, 200)
  // Had the node ended, there would be nobody to answer with these: it has not been started twice.
  assert.equal((await node.log()).filter(({ msg }) => msg === 'listening').length, 1)
  t.diagnostic(`${kills} crashes, ${views} pictures`)
})

test('Health answers at once while eight large AVIFs are encoded', async (t) => {
  const node = await startNode(t)
  const photograph = await fixture('mountains.jpg')
  const large = await sharp(photograph).resize({ width: 6000, height: 4000, fit: 'fill' }).jpeg().toBuffer()
  assert.equal((await upload(node.url, large)).status, 201)
  const ending = new AbortController()
  const renders = Array.from({ length: 8 }, (_, at) =>
    // Whether they end in time is not the point here: a slow machine answers some with 503 or 504.
    fetch(`${node.url}/image/${idOf(large)}/full,q${41 + at}/x.avif`, { signal: AbortSignal.timeout(60_000) }),
  )
  const made = Promise.allSettled(renders).then(() => ending.abort())
  const waits: number[] = []
  while (!ending.signal.aborted && waits.length < 200) {
    const { status, ms } = await ask(`${node.url}/healthz`)
    assert.equal(status, 200)
    waits.push(ms)
    await delay(20)
  }
  await made
  const longest = Math.max(...waits)
  t.diagnostic(`the longest of ${waits.length} answers took ${longest.toFixed(1)} ms`)
  assert.ok(longest < HEALTH_MS)
})
