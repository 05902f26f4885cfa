import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import packageJson from '../../package.json' with { type: 'json' }
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { promtool } from '../../tools/servers/prometheus.ts'
import { newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

test('promtool accepts the metrics of a node that has served requests, and refuses a misnamed one', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  for (const path of [`/image/${id}/40w.webp`, `/image/${id}/40w.webp`, `/image/${id}/nonsense`, '/nothing']) {
    await (await fetch(node.url + path)).arrayBuffer()
  }
  const metrics = await (await fetch(`${node.url}/metrics`)).text()
  assert.deepEqual(await promtool(['check', 'metrics'], metrics), { code: 0, output: '' })
  const { version } = packageJson
  assert.ok(metrics.includes(`darkroom_build_info{version="${version}",node="${process.versions.node}"} 1\n`))
  const misnamed = '# HELP darkroom_x_total Not a counter\n# TYPE darkroom_x_total gauge\ndarkroom_x_total 1\n'
  assert.equal((await promtool(['check', 'metrics'], metrics + misnamed)).code, 3)
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

test('The metrics tell the state of the node, of its cache and of its endpoints', async (t) => {
  const { env, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(proxy.stop)
  const buckets = join(await temporaryFolder(t), 'buckets.yaml')
  await writeFile(buckets, `buckets:\n  pics:\n    endpoint: ${endpoint}\n    anonymous: true\n`)
  const node = await startNodeFor(t, {
    env: {
      ...env,
      S3_ENDPOINT: proxy.endpoint,
      BUCKETS_FILE: buckets,
    },
  })
  const gauge = (name: string, labels?: string) => node.metric(`darkroom_${name}`, labels)
  const outcome = (name: string) => gauge('endpoint_calls_total', `{endpoint="store",outcome="${name}"}`)
  await untilTrue(async () => (await gauge('degraded_reasons')) === 1)
  const pics = await gauge('endpoint_calls_total', '{endpoint="bucket:pics",outcome="denied"}')
  assert.deepEqual([await gauge('ready'), await gauge('cache_degraded'), pics > 0], [1, 0, true])
  assert.equal(await gauge('circuit_breaker_open', '{endpoint="store"}'), 0)
  assert.ok((await outcome('ok')) > 0)

  assert.ok((await gauge('cache_sweep_age_seconds')) < 60)

  assert.equal(await outcome('invalid'), 0, 'the probe of write permission is no failure')

  await proxy.setFault({ kind: 'refuse' })
  await untilTrue(async () => (await gauge('circuit_breaker_open', '{endpoint="store"}')) === 1)
  await untilTrue(async () => (await gauge('ready')) === 0)
  assert.ok((await outcome('unreachable')) > 0)
  await untilTrue(async () => (await outcome('not_sent')) > 0)
  await proxy.setFault(undefined)
  await untilTrue(async () => (await gauge('ready')) === 1)
  assert.equal(await gauge('circuit_breaker_open', '{endpoint="store"}'), 0)
})

/** Each question is a scrape, which takes its time: there is no need for a pause. */
async function untilTrue(question: () => Promise<boolean>): Promise<void> {
  while (!(await question()));
}
