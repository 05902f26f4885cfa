import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import type { Scope } from '../processes/scope.ts'
import { startS3Server } from '../s3/start-s3-server.ts'
import { backgroundIsDone } from '../servers/darkroom.ts'
import { type Haproxy, startHaproxy } from '../servers/haproxy.ts'
import { newStore, TOKEN } from '../servers/site.ts'
import { type ClusterNode, createClusterNode } from './cluster-node.ts'
import { type Members, setMembers } from './members.ts'
import { createViewers, type Viewers } from './viewers.ts'

const FRONTS = 2
const LOGGED_WITHIN_MS = 20_000
const ROUTE_REQUESTS = 50

/** Nodes that share a store, and fronts before them. */
export interface Cluster {
  /** All that were created; not all of them run. */
  readonly nodes: readonly ClusterNode[]
  readonly fronts: readonly Haproxy[]
  /** To look behind the nodes' backs. */
  readonly store: ObjectStore
  readonly members: Members
  readonly viewers: Viewers
  /** Origin of a front, in turn. */
  front(turn: number): string
  /** The node that answered each request, by the logs of the fronts; `''`: none. */
  places(requestIds: readonly string[]): Promise<ReadonlyMap<string, Place>>
  /** The node that each front chooses for a key, in the order of the keys. */
  route(keys: readonly string[], front: Haproxy): Promise<readonly string[]>
}

/** A line of a front's log. */
export interface Place {
  readonly node: string
  readonly backend: string
  readonly retries: number
}

export interface ClusterOptions {
  readonly nodes: number
  /** Of them, those that run from the beginning. */
  readonly running?: number
  readonly env?: Readonly<Record<string, string>>
  readonly say: (line: string) => void
}

/** Starts SeaweedFS, nodes with their nginx, and two HAProxy, until the scope ends. */
export async function startCluster(scope: Scope, options: ClusterOptions): Promise<Cluster> {
  const { nodes: count, running = count, env = {} } = options
  const server = await startS3Server('seaweedfs')
  const { endpoint, env: storeEnv, settings: access } = await newStore(server)
  const store = createS3Store(access)
  const viewers = createViewers()
  scope.after(viewers.close)
  const settings = {
    endpoint,
    // Nodes of one machine share its cores.
    env: { ...storeEnv, UPLOAD_TOKENS: TOKEN, LOG_LEVEL: 'warn', RENDER_CONCURRENCY: '1', DRAIN_SECONDS: '3', ...env },
  }
  const nodes = await Promise.all(
    Array.from({ length: count }, (_, index) => createClusterNode(scope, { name: `node${index + 1}`, ...settings })),
  )
  await Promise.all(nodes.slice(0, running).map((node) => node.start()))
  const fronts = await Promise.all(Array.from({ length: FRONTS }, () => startHaproxy()))
  for (const front of fronts) scope.after(front.stop)
  const members = setMembers(scope, fronts, storeEnv)
  scope.after(() => store.close())
  scope.after(server.stop)
  for (const node of nodes.slice(0, running)) await members.join(node)
  options.say(`${running} nodes, ${FRONTS} fronts and SeaweedFS have started`)

  const places: Cluster['places'] = async (requestIds) => {
    const wanted = new Set(requestIds)
    const deadline = performance.now() + LOGGED_WITHIN_MS
    for (;;) {
      const found = await placesIn(fronts, wanted)
      if (found.size === wanted.size || performance.now() > deadline) return found
      await delay(200)
    }
  }
  return {
    nodes,
    fronts,
    store,
    members,
    viewers,
    front: (turn) => fronts[turn % FRONTS]?.origin ?? '',
    places,
    async route(keys, { origin }) {
      const ids: string[] = []
      // No route has these paths, so that a node answers at once; they are placed as all paths of the original.
      for (let start = 0; start < keys.length; start += ROUTE_REQUESTS) {
        const some = keys.slice(start, start + ROUTE_REQUESTS)
        const asked = await Promise.all(some.map((key) => viewers.view(origin, `/image/${key}/0`, 'probe')))
        ids.push(...asked.map(({ requestId }) => requestId))
      }
      const found = await places(ids)
      return ids.map((id) => found.get(id)?.node ?? '')
    },
  }
}

async function placesIn(fronts: readonly Haproxy[], wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, Place>> {
  const places = new Map<string, Place>()
  for (const front of fronts) {
    for (const line of await front.accessLog(0)) {
      const id = String(line['requestId'])
      if (!wanted.has(id)) continue
      places.set(id, {
        node: String(line['node']).replace('<NOSRV>', ''),
        backend: String(line['backend']),
        retries: Number(String(line['retries']).replace('+', '')),
      })
    }
  }
  return places
}

/** Resolves when no node has work left that nobody waits for. */
export async function nodesAreIdle(nodes: readonly ClusterNode[]): Promise<void> {
  for (const node of nodes) await backgroundIsDone(node.darkroom())
}
