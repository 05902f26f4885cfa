import assert from 'node:assert/strict'
import { Agent, get } from 'node:http'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { createS3Store } from '../src/adapters/s3/s3-store.ts'
import type { ObjectStore } from '../src/service/ports/store.ts'
import { type ClusterNode, createClusterNode } from '../tools/cluster/cluster-node.ts'
import { plant } from '../tools/s3/plant.ts'
import { withComment } from '../tools/pictures/distinct-copy.ts'
import { type CpuCgroup, createCpuCgroup } from '../tools/processes/cpu-cgroup.ts'
import { processIds } from '../tools/processes/process-use.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { startS3Server } from '../tools/s3/start-s3-server.ts'
import { fixture } from '../tools/servers/darkroom.ts'
import { BACKENDS, type Haproxy, startHaproxy } from '../tools/servers/haproxy.ts'
import { newStore } from '../tools/servers/site.ts'
import { benchFront } from './cluster-front.ts'
import { type BenchOptions, type BenchReport, measureInTurn, median } from './measure.ts'

const SIZES = ['1', '2', '4'] as const
type ClusterSize = (typeof SIZES)[number]

const NODES = 4
/** Of each node, its renderers and its nginx. Four of them leave a core to the store, the front and the clients. */
const CORES = 0.25
/** For each node that is in use. More clients than that only wait. */
const CLIENTS = 16
const FULL = { views: 400, warmUp: 300, rounds: 5 } as const
const SMOKE = { views: 6, warmUp: 4, rounds: 1 } as const
const WANTED = 0.9
/** Views before and after the window that is measured: clients have not all begun, or some have ended. */
const EDGE = 0.15
const ORIGINAL_WIDTH = 600

interface Stage {
  readonly nodes: readonly ClusterNode[]
  readonly groups: readonly CpuCgroup[]
  readonly front: Haproxy
  readonly store: ObjectStore
  readonly photograph: Buffer
}

/**
 * First views through a HAProxy front of originals that no node has seen, by one, two and four nodes with the same CPU time each;
 * and what the front adds to a hit.
 */
export async function benchCluster({ smoke, rounds }: BenchOptions): Promise<BenchReport> {
  const scale = smoke ? SMOKE : { ...FULL, rounds: rounds ?? FULL.rounds }
  const { runs, throttled } = await inScope(async (scope) => {
    const stage = await setStage(scope)
    await firstViews(stage, stage.nodes, { label: 'warm-up', views: scale.warmUp * NODES })
    const pids = await Promise.all(
      stage.nodes.map(async (node) => (await Promise.all(node.pids().map(processIds))).flat()),
    )
    for (const [index, group] of stage.groups.entries()) await group.add(pids[index] ?? [])
    const measured = await measureInTurn(SIZES, scale.rounds, async (size, round) => {
      const used = usedNodes(stage.nodes, Number(size), round)
      await useOnly(stage, used)
      return await firstViews(stage, used, { label: `${size} ${round}`, views: scale.views * used.length })
    })
    return { runs: measured, throttled: await Promise.all(stage.groups.map((group) => group.throttled())) }
  })
  const rate = (size: ClusterSize): number => median(runs.get(size) ?? [])
  const ofLinear = (size: ClusterSize): number =>
    median((runs.get(size) ?? []).map((each, round) => each / ((runs.get('1')?.[round] ?? Number.NaN) * Number(size))))
  const front = await benchFront(smoke)
  return {
    figures: [
      { name: 'first views, 2 nodes, of linear', value: ofLinear('2'), wanted: `>= ${WANTED}` },
      { name: 'first views, 4 nodes, of linear', value: ofLinear('4'), wanted: `>= ${WANTED}` },
      ...SIZES.map((size) => ({ name: `  first views, nodes: ${size}`, value: rate(size), unit: 'per second' })),
      { name: '  periods in which a node used its share up', value: median(throttled) },
      ...front.figures,
    ],
    raw: { runs: Object.fromEntries(runs), throttled, front: front.raw },
  }
}

async function setStage(scope: Scope): Promise<Stage> {
  const server = await startS3Server('seaweedfs')
  const { endpoint, env, settings } = await newStore(server)
  const nodes: ClusterNode[] = []
  const groups: CpuCgroup[] = []
  for (let number = 1; number <= NODES; number += 1) {
    const name = `node${number}`
    const node = await createClusterNode(scope, {
      name,
      endpoint,
      env: {
        ...env,
        LOG_LEVEL: 'warn',
        RENDER_CONCURRENCY: '1',
        RENDER_WAIT_MAX_SECONDS: '60',
        REQUEST_TIMEOUT_SECONDS: '90',
      },
    })
    await node.start()
    const group = await createCpuCgroup(name, CORES)
    scope.after(group.remove)
    nodes.push(node)
    groups.push(group)
  }
  const front = await startHaproxy({ nodes: nodes.map(({ name, address }) => ({ name, address })) })
  scope.after(front.stop)
  const store = createS3Store(settings)
  scope.after(() => store.close())
  scope.after(server.stop)
  for (const { name } of nodes) await front.becomes('ready', name, 'UP')
  const photograph = await sharp(await fixture('mountains.jpg'))
    .resize(ORIGINAL_WIDTH)
    .jpeg()
    .toBuffer()
  return { nodes, groups, front, store, photograph }
}

/** Other ones in each round, so that no node is in more measurements than another. */
function usedNodes(nodes: readonly ClusterNode[], size: number, round: number): readonly ClusterNode[] {
  return [...nodes, ...nodes].slice(round % nodes.length).slice(0, size)
}

async function useOnly({ nodes, front }: Stage, used: readonly ClusterNode[]): Promise<void> {
  for (const node of nodes) {
    const state = used.includes(node) ? 'ready' : 'maint'
    for (const backend of BACKENDS) await front.command(`set server ${backend}/${node.name} state ${state}`)
  }
  for (const { name } of used) await front.becomes('ready', name, 'UP')
}

/** @returns first views per second, once all clients are at work and until the first of them has ended. */
async function firstViews(
  { store, photograph, front }: Stage,
  used: readonly ClusterNode[],
  { label, views }: { readonly label: string; readonly views: number },
): Promise<number> {
  const ids = await plant(store, views, (index) => withComment(photograph, `cluster ${label} ${index}`))
  const clients = CLIENTS * used.length
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const ends: number[] = []
  try {
    await pLimit(clients).map(ids, async (id) => {
      await view(`${front.origin}/image/${id}/300w/x.jpg`, agent)
      ends.push(performance.now())
    })
  } finally {
    agent.destroy()
  }
  const edge = Math.floor(views * EDGE)
  const [first = 0, last = 0] = [ends[edge], ends[views - 1 - edge]]
  return ((views - 1 - 2 * edge) * 1000) / (last - first)
}

function view(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const { statusCode } = response
      response.resume()
      response.once('end', () => {
        assert.equal(statusCode, 200, url)
        resolve()
      })
      response.once('error', reject)
    }).once('error', reject)
  })
}
