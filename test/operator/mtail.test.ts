import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { rawExchange } from '../../tools/requests/raw-exchange.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startMtail } from '../../tools/servers/mtail.ts'
import { startNodeNginx } from '../../tools/servers/nginx.ts'
import { startNodeFor, stopAfter } from '../../tools/servers/site.ts'

test('mtail counts every response of nginx by status and route, and the renditions by cache status', async (t) => {
  const node = await startNodeFor(t, { env: { ACCEL_PREFIX: '/_renditions/' } })
  const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir })
  stopAfter(t, nginx.stop)
  const mtail = await startMtail(t, join(nginx.folder, 'access.log'))
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(nginx.origin + path, { headers })
    return { status: response.status, bytes: (await response.arrayBuffer()).byteLength }
  }

  const id = await uploadFixture(nginx.origin, 'mountains.jpg')
  const miss = await get(`/image/${id}/40w.webp`)
  const hits = [await get(`/image/${id}/40w.webp`), await get(`/image/${id}/40w/any-name.webp`)]
  const ofNode = await get(`/image/${id}/40w.webp`, { Range: 'bytes=0-9' })
  const missing = await get(`/image/${'0'.repeat(40)}/40w.webp`)
  for (const path of ['/healthz', `/images/${id}`, '/no/such/path', '/']) await get(path)
  const quoted = 'GET /a"b\\c/%22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  assert.match(await rawExchange(nginx.origin, quoted), /^HTTP\/1\.1 404 /)
  assert.match(await rawExchange(nginx.origin, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)

  const metrics = await mtail.untilCounted(12)
  const requests = Array.from(metrics).filter(([name]) => name.startsWith('darkroom_nginx_requests_total'))
  assert.deepEqual(Object.fromEntries(requests.map(([name, count]) => [name.replace(/^\w+/, ''), count])), {
    '{route="upload",status="201"}': 1,
    '{route="image",status="200"}': 3,
    '{route="image",status="206"}': 1,
    '{route="image",status="404"}': 1,
    '{route="monitoring",status="200"}': 1,
    '{route="record",status="200"}': 1,
    '{route="other",status="404"}': 2,
    '{route="other",status="400"}': 1,
    '{route="other",status="200"}': 1,
  })
  assert.equal(metrics.get('darkroom_nginx_renditions_total{cache="none",cache_status="miss"}'), 1)
  assert.equal(metrics.get('darkroom_nginx_renditions_total{cache="nginx",cache_status="hit"}'), 2)
  assert.equal(metrics.get('darkroom_nginx_renditions_total{cache="memory",cache_status="hit"}'), 1)
  assert.deepEqual(ofNode, { status: 206, bytes: 10 })
  const sent = [miss, ...hits, ofNode, missing].reduce((sum, { bytes }) => sum + bytes, 0)
  assert.equal(metrics.get('darkroom_nginx_response_bytes_total{route="image"}'), sent)

  const page = await readFile(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  for (const name of metrics.keys()) assert.ok(page.includes(`| \`${name.replace(/\{.*/, '')}\` |`), name)
})
