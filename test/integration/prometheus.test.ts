import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { rendererPids, untilGone } from '../../tools/processes/renderers.ts'
import { type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { startPrometheus } from '../../tools/servers/prometheus.ts'
import { newStore, startNodeFor } from '../../tools/servers/site.ts'

const ROOT = join(import.meta.dirname, '../..')
/** More than the rule for crashing renderers tolerates. */
const CRASHES = 4

/** The alert rules, but none of them waits. */
async function eagerRules(): Promise<string> {
  return (await readFile(join(ROOT, 'packaging/prometheus/alerts.yml'), 'utf8')).replaceAll(/for: \d+m/g, 'for: 0m')
}

/** A node on a store that can fail, and a Prometheus that scrapes it. */
async function startStage(t: TestContext) {
  const { env, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(proxy.stop)
  const node = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint, RENDER_CONCURRENCY: '2' } })
  const instance = `127.0.0.1:${node.port}`
  const prometheus = await startPrometheus(t, { targets: [instance], rules: await eagerRules() })
  return { node, proxy, prometheus, instance }
}

async function crashRenderers(node: Darkroom): Promise<void> {
  for (let crashes = 0; crashes < CRASHES; crashes = await node.metric('darkroom_renderer_crashes_total')) {
    const pids = await rendererPids(node.pid)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await untilGone(pids)
  }
}

test('A Prometheus that scrapes a node fires the alerts for crashing renderers, a store that is down, and a stopped node', async (t) => {
  const { node, proxy, prometheus, instance } = await startStage(t)
  await prometheus.untilNonEmpty('darkroom_ready == 1')
  const id = await uploadFixture(node.url, 'mountains.jpg')
  for (const width of [40, 41, 40]) await (await fetch(`${node.url}/image/${id}/${width}w.webp`)).arrayBuffer()
  await prometheus.untilNonEmpty('rate(darkroom_render_duration_seconds_count[1m]) > 0')
  assert.deepEqual(await prometheus.firing(), [])

  await crashRenderers(node)
  assert.ok((await prometheus.untilFiring('DarkroomRenderersCrash')).summary.includes(instance))

  await proxy.setFault({ kind: 'refuse' })
  assert.ok((await prometheus.untilFiring('DarkroomStoreDown')).summary.includes(instance))
  await prometheus.untilFiring('DarkroomNotReady')
  await proxy.setFault(undefined)
  await prometheus.untilNonEmpty('darkroom_ready == 1')

  await node.stop()
  await prometheus.untilFiring('DarkroomDown')
})
