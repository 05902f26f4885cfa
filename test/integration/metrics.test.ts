import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensurePromtool } from '../../tools/servers/install-servers.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

/** `promtool check metrics` over the text of a `/metrics` response. */
async function promtool(metrics: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(await ensurePromtool(), ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(metrics)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, output: out + err }
}

test('promtool accepts the metrics of a node that has served requests, and refuses a misnamed one', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  for (const path of [`/image/${id}/40w.webp`, `/image/${id}/40w.webp`, `/image/${id}/nonsense`, '/nothing']) {
    await (await fetch(node.url + path)).arrayBuffer()
  }
  const metrics = await (await fetch(`${node.url}/metrics`)).text()
  assert.deepEqual(await promtool(metrics), { code: 0, output: '' })
  const misnamed = '# HELP darkroom_x_total Not a counter\n# TYPE darkroom_x_total gauge\ndarkroom_x_total 1\n'
  assert.equal((await promtool(metrics + misnamed)).code, 3)
})

test('The metrics count requests, uploads, and renditions by cache status', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const rendition = `${node.url}/image/${id}/40w.webp`
  for (const url of [rendition, rendition]) await (await fetch(url)).arrayBuffer()
  const count = {
    uploads: await node.metric('darkroom_uploads_total', '{created="true"}'),
    misses: await node.metric('darkroom_renditions_total', '{cache_status="miss",cache="none"}'),
    hits: await node.metric('darkroom_renditions_total', '{cache_status="hit",cache="memory"}'),
    renders: await node.metric('darkroom_render_duration_seconds_count'),
    crashes: await node.metric('darkroom_renderer_crashes_total'),
    inMemory: (await node.metric('darkroom_renderer_resident_memory_bytes')) > 0,
  }
  assert.deepEqual(count, { uploads: 1, misses: 1, hits: 1, renders: 1, crashes: 0, inMemory: true })
  assert.ok((await node.metric('darkroom_http_requests_total', '{method="GET",status="200"}')) >= 2)
})
