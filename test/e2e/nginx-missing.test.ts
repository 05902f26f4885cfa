import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { ask } from '../../tools/requests/ask.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, untilLogged, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNginxFor, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const Ready = z.object({ status: z.string(), reasons: z.array(z.string()) })

const BYPASSED = 'ACCEL_PREFIX is set, but requests do not come through nginx'
const UNREADABLE = 'nginx cannot read files in the cache'

test('A node with ACCEL_PREFIX that is asked without nginx answers as one without it, and says so', async (t) => {
  const STORE = `file:${await temporaryFolder(t)}`
  const node = await startNodeFor(t, { env: { STORE, ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: TOKEN } })
  const plain = await startNodeFor(t, { env: { STORE, UPLOAD_TOKENS: TOKEN } })
  const id = await uploadFixture(node.url, 'mountains.jpg', TOKEN)
  // Until the store has the mezzanine, the other node renders from the original, and its file has other bytes.
  await backgroundIsDone(node)
  assert.deepEqual(await readiness(node), { status: 'ready', reasons: [] })
  const path = `/image/${id}/160w/a.jpg`
  const { etag = '' } = (await rawRequest(plain.url, path)).headers
  const requests = [
    {},
    { method: 'HEAD' },
    { headers: { Range: 'bytes=10-19' } },
    { headers: { Range: 'bytes=9999999-' } },
    { headers: { 'If-None-Match': etag } },
    { headers: { 'X-Darkroom-Accel-Prefix': '/another/' } },
  ]
  for (const request of requests) {
    const own = await rawRequest(node.url, path, request)
    const expected = await rawRequest(plain.url, path, request)
    assert.deepEqual(withoutTimes(own), withoutTimes(expected), JSON.stringify(request))
  }
  assert.ok((await rawRequest(node.url, path)).body.length > 1000)
  const { status, reasons } = await readiness(node)
  assert.equal(status, 'degraded')
  assert.ok(reasons[0]?.startsWith(BYPASSED))
  await untilLogged(node, ({ msg }) => String(msg).startsWith(BYPASSED))
  // The lines of later requests are there: so would be a second warning.
  await untilLogged(node, ({ path: logged }) => logged === '/readyz')
  assert.equal((await warnings(node, BYPASSED)).length, 1)
})

test('Through nginx a node is ready, and nginx sends the files', async (t) => {
  const { node, url, nginx } = await startSite(t)
  const id = await uploadFixture(url, 'mountains.jpg', TOKEN)
  for (const origin of [url, nginx.frontOrigin]) {
    const spoofed = { headers: { 'X-Darkroom-Accel-Prefix': '/none/' } }
    assert.equal((await ask(`${origin}/image/${id}/160w/a.jpg`, spoofed)).status, 200)
    assert.match((await ask(`${origin}/image/${id}/160w/a.jpg`)).headers.get('server-timing') ?? '', /nginx/)
  }
  assert.deepEqual(await readiness(node), { status: 'ready', reasons: [] })
})

test('Behind an older nginx.conf, which does not say that it sends files, the node sends them', async (t) => {
  const { node, url } = await startSite(t, {}, { without: ['X-Darkroom-Accel-Prefix'] })
  const id = await uploadFixture(url, 'mountains.jpg', TOKEN)
  const first = await ask(`${url}/image/${id}/160w/a.jpg`)
  assert.ok(first.status === 200 && first.body.length > 1000)
  assert.equal(first.headers.get('x-darkroom-tier'), null)
  // Its direct hits go on.
  assert.match((await ask(`${url}/image/${id}/160w/a.jpg`)).headers.get('server-timing') ?? '', /nginx/)
  assert.ok((await readiness(node)).reasons[0]?.startsWith(BYPASSED))
})

test('A cache that nginx may not read is told in /readyz and once in the log, and pictures are there all the same', async (t) => {
  if (process.getuid?.() !== 0)
    throw new Error('This test runs nginx as another user, which needs root: run it with sudo')
  const cacheDir = join(await temporaryFolder(t), 'cache')
  const env = { ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: TOKEN, CACHE_DIR: cacheDir }
  const node = await startNodeFor(t, { env })
  await untilLogged(
    node,
    ({ level, folders }) => level === 'warn' && String(folders).includes('(mode 0700, uid 0, gid 0)'),
  )
  const { origin } = await startNginxFor(t, node, { user: 'daemon' })
  const id = await uploadFixture(origin, 'mountains.jpg', TOKEN)
  for (const width of [100, 110, 120, 130]) {
    const { status, body } = await ask(`${origin}/image/${id}/${width}w/a.jpg`)
    assert.ok(status === 200 && body.length > 500)
  }
  const { status, reasons } = await readiness(node)
  assert.equal(status, 'degraded')
  assert.ok(reasons[0]?.startsWith(UNREADABLE))
  assert.doesNotMatch(reasons.join(), /\/tmp/)
  const { err } = await untilLogged(node, ({ msg }) => String(msg).startsWith(UNREADABLE))
  assert.match(JSON.stringify(err), /\(mode 0700, uid 0, gid 0\)/)
  assert.equal((await warnings(node, UNREADABLE)).length, 1)
})

test('A file that is purged before nginx sends it is no sign of a cache that nginx may not read', async (t) => {
  const { node, url } = await startSite(t, {}, { directHits: false })
  const id = await uploadFixture(url, 'mountains.jpg', TOKEN)
  for (const width of [100, 110, 120, 130]) {
    const path = `${url}/image/${id}/${width}w/a.jpg`
    assert.equal((await ask(path)).status, 200)
    await rm(join(node.cacheDir, 'renditions', renditionFolder(id)), { recursive: true })
    assert.equal((await ask(path)).status, 200)
  }
  assert.deepEqual(await readiness(node), { status: 'ready', reasons: [] })
})

async function readiness({ url }: Darkroom): Promise<{ readonly status: string; readonly reasons: readonly string[] }> {
  const { status, body } = await ask(`${url}/readyz`)
  assert.equal(status, 200)
  return Ready.parse(JSON.parse(body.toString()))
}

async function warnings(node: Darkroom, about: string) {
  return (await node.log()).filter(({ msg }) => String(msg).startsWith(about))
}

/** What two nodes must agree in. */
function withoutTimes({ status, headers, body }: Awaited<ReturnType<typeof rawRequest>>) {
  const { date: _date, 'server-timing': _timing, ...rest } = headers
  return { status, headers: rest, body: body.toString('latin1') }
}
