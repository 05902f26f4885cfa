import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { freePort } from '../../tools/processes/free-port.ts'
import { rendererPids, untilGone } from '../../tools/processes/renderers.ts'
import { type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { startHaproxy } from '../../tools/servers/haproxy.ts'
import { startMtail } from '../../tools/servers/mtail.ts'
import { startNodeNginx } from '../../tools/servers/nginx.ts'
import { startPrometheus } from '../../tools/servers/prometheus.ts'
import { newStore, startNodeFor, stopAfter } from '../../tools/servers/site.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Their alerts may fire on a busy machine. */
const OF_SPEED = ['DarkroomSlowMisses', 'DarkroomSlowStore', 'DarkroomLongQueue']
const NAME = 'node1'
/** More than the rule for crashing renderers tolerates. */
const CRASHES = 4

/** The alert rules, but none of them waits. */
async function eagerRules(): Promise<string> {
  return (await readFile(join(ROOT, 'packaging/prometheus/alerts.yml'), 'utf8')).replaceAll(/for: \d+m/g, 'for: 0m')
}

const Dashboard = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) })),
})

/** Queries of the dashboard by panel, with the values of its variables. */
async function dashboardQueries(): Promise<readonly (readonly [panel: string, query: string])[]> {
  const text = await readFile(join(ROOT, 'packaging/grafana/darkroom.json'), 'utf8')
  const { panels } = Dashboard.parse(JSON.parse(text))
  return panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => {
      const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')
      assert.doesNotMatch(query, /\$/)
      return [title, query] as const
    }),
  )
}

/** A node behind nginx on a store that can fail, and a Prometheus that scrapes the node and mtail. */
async function startStage(t: TestContext) {
  const { env, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(proxy.stop)
  const port = await freePort()
  const instance = `127.0.0.1:${port}`
  const node = await startNodeFor(t, {
    port,
    env: { ...env, NODE_NAME: NAME, S3_ENDPOINT: proxy.endpoint, RENDER_CONCURRENCY: '2' },
  })
  const nginx = await startNodeNginx({ nodePort: port, cacheDir: node.cacheDir })
  stopAfter(t, nginx.stop)
  const mtail = await startMtail(t, join(nginx.folder, 'access.log'))
  const front = await startHaproxy({ nodes: [{ name: NAME, address: new URL(nginx.origin).host }] })
  stopAfter(t, front.stop)
  await front.becomes('ready', NAME, 'UP')
  const prometheus = await startPrometheus(t, {
    targets: [instance],
    otherJobs: { nginx: [mtail.address], haproxy: [front.metricsAddress] },
    rules: await eagerRules(),
  })
  return { node, nginx, front, proxy, prometheus, instance }
}

async function crashRenderers(node: Darkroom): Promise<void> {
  for (let crashes = 0; crashes < CRASHES; crashes = await node.metric('darkroom_renderer_crashes_total')) {
    const pids = await rendererPids(node.pid)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await untilGone(pids)
  }
}

test('A Prometheus that scrapes a node', async (t) => {
  const { node, nginx, front, proxy, prometheus, instance } = await startStage(t)
  await prometheus.untilNonEmpty('darkroom_ready == 1')

  await t.test('answers every query of the dashboard, and fires no alert while all is well', async () => {
    const id = await uploadFixture(node.url, 'mountains.jpg')
    for (const width of [40, 41, 40]) await (await fetch(`${node.url}/image/${id}/${width}w.webp`)).arrayBuffer()
    await prometheus.untilNonEmpty('rate(darkroom_renditions_total{cache_status="hit"}[1m]) > 0')
    // A counter of mtail begins with the first line, and its rate with the second.
    const views = async (times: number) => {
      for (let view = 0; view < times; view += 1)
        await (await fetch(`${(view % 2 === 0 ? front : nginx).origin}/image/${id}/40w.webp`)).arrayBuffer()
    }
    await views(1)
    await prometheus.untilNonEmpty('darkroom_nginx_renditions_total{cache="nginx"} == 1')
    await views(3)
    await prometheus.untilNonEmpty('instance:darkroom_nginx_hits:ratio_rate5m == 1')
    await prometheus.untilNonEmpty(
      `sum by (name) (darkroom_node_info) == 1 and on (name) darkroom_node_info{name="${NAME}"}`,
    )
    await prometheus.untilNonEmpty(
      `haproxy_server_http_responses_total{proxy="ready", server="${NAME}", code="2xx"} >= 1`,
    )
    for (const [panel, query] of await dashboardQueries()) {
      // As a rule, nothing has failed so far.
      if (panel === 'Failed calls') await prometheus.query(query)
      else await prometheus.untilNonEmpty(query)
    }
    // DarkroomDown fired until the node had started, and fires if a scrape takes too long.
    await prometheus.untilQuiet(OF_SPEED)
  })

  await t.test('fires the alert for crashing renderers', async () => {
    await crashRenderers(node)
    assert.ok((await prometheus.untilFiring('DarkroomRenderersCrash')).summary.includes(instance))
  })

  await t.test('fires the alerts for a store that is down, until it is back', async () => {
    await proxy.setFault({ kind: 'refuse' })
    // Each asks the store, and five failures open the circuit breaker.
    await Promise.all(Array.from({ length: 5 }, () => fetch(`${node.url}/readyz`)))
    assert.ok((await prometheus.untilFiring('DarkroomStoreDown')).summary.includes(instance))
    await prometheus.untilFiring('DarkroomNotReady')
    await prometheus.untilNonEmpty('darkroom_circuit_breaker_open{endpoint="store"} == 1')
    await proxy.setFault(undefined)
    await prometheus.untilNonEmpty('darkroom_ready == 1')
  })

  await t.test('fires the alert for a node that is down', async () => {
    await node.stop()
    await prometheus.untilFiring('DarkroomDown')
  })
})
