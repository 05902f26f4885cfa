import { createHash } from 'node:crypto'
import { distinctCopy } from '../pictures/distinct-copy.ts'
import { idOf } from '../pictures/picture.ts'
import { fixture } from '../servers/darkroom.ts'
import { claim, count, type TrialFigure } from '../trials/trial-report.ts'
import { type Cluster, nodesAreIdle } from './cluster.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { Exchange } from './viewers.ts'

const KEYS = 1000
const REQUESTS = 1000
const SIZES = 20
const FIRST_WIDTH = 60
const STEP = 20

/** Keys of originals that look like ids. */
export function keysOf(number: number): readonly string[] {
  return Array.from({ length: number }, (_, index) => idOf(Buffer.from(`key ${index}`)))
}

/** A large picture that no other text gives, uploaded through the fronts. @returns its id. */
export async function uploadLarge(cluster: Cluster, text: string): Promise<string> {
  const bytes = distinctCopy(await fixture('mountains.jpg'), text)
  const turn = createHash('sha256').update(text).digest().readUInt8()
  const { status, body } = await cluster.viewers.upload(cluster.front(turn), '/images', bytes)
  if (status !== 201) throw new Error(`An upload was answered ${status}: ${body.toString().slice(0, 200)}`)
  return idOf(bytes)
}

/** Concurrent cold requests for many sizes of one original: placement, renders and reads of the store. */
export async function tryCold(cluster: Cluster): Promise<readonly TrialFigure[]> {
  const [one, two] = cluster.fronts
  if (one === undefined || two === undefined) throw new TypeError('Two fronts')
  const keys = keysOf(KEYS)
  const [first, second] = [await cluster.route(keys, one), await cluster.route(keys, two)]
  const same = first.filter((node, index) => node !== '' && node === second[index]).length
  const shares = cluster.nodes.map(({ name }) => first.filter((node) => node === name).length)
  return [
    claim('both fronts choose the same node', `${count(same)} of ${count(KEYS)} keys`, 'all', same === KEYS),
    { name: 'keys by node', value: shares.join(', ') },
    ...(await coldRequests(cluster, 'both fronts', (index) => Math.floor(index / SIZES))),
    ...(await coldRequests(cluster, 'one front, which spreads it', () => 0)),
  ]
}

/** @param turnOf The front of a request. */
async function coldRequests(
  cluster: Cluster,
  through: string,
  turnOf: (index: number) => number,
): Promise<readonly TrialFigure[]> {
  const { nodes, viewers } = cluster
  const id = await uploadLarge(cluster, `cold through ${through}`)
  await nodesAreIdle(nodes)
  const before = await Promise.all(nodes.map(rendersOf))
  for (const { proxy } of nodes) proxy.requests.length = 0
  const asked = await Promise.all(
    Array.from({ length: REQUESTS }, (_, index) => {
      const width = FIRST_WIDTH + STEP * (index % SIZES)
      return viewers.view(cluster.front(turnOf(index)), `/image/${id}/${width}w/x.webp`, 'cold')
    }),
  )
  await nodesAreIdle(nodes)
  const after = await Promise.all(nodes.map(rendersOf))
  const renders = after.map((number, index) => number - (before[index] ?? 0))
  const pairs = await pairsByNode(cluster, asked)
  const wanted = nodes.map(({ name }) => pairs.get(name)?.size ?? 0)
  const failed = asked.filter(({ status }) => status !== 200).length
  const gets = nodes.map((node) => getsOf(node, id))
  const most = Math.max(...gets.flatMap((each) => [...each.values()]))
  const spread = wanted.filter((number) => number > 0).length
  const name = `${count(REQUESTS)} cold requests, ${SIZES} sizes, ${through}`
  return [
    claim(`${name}: failed`, String(failed), '0', failed === 0),
    claim(
      `${name}: renders by node`,
      `${renders.join(', ')} on ${spread} of ${nodes.length} nodes`,
      `${wanted.join(', ')}: each size once per node that was asked for it`,
      renders.every((number, index) => number === wanted[index]),
    ),
    claim(
      `${name}: GETs of an object by a node`,
      `at most ${most}; ${gets.map((each) => each.size).join(', ')} objects`,
      'at most 1',
      most <= 1,
    ),
  ]
}

const rendersOf = (node: ClusterNode): Promise<number> =>
  node.darkroom().metric('darkroom_render_duration_seconds_count')

/** Paths that each node was asked for. */
async function pairsByNode(cluster: Cluster, asked: readonly Exchange[]): Promise<ReadonlyMap<string, Set<string>>> {
  const places = await cluster.places(asked.map(({ requestId }) => requestId))
  const pairs = new Map<string, Set<string>>()
  for (const { requestId, path } of asked) {
    const node = places.get(requestId)?.node ?? ''
    pairs.set(node, (pairs.get(node) ?? new Set()).add(path))
  }
  return pairs
}

/** GETs that a node sent to the store for objects of an image, by path. */
function getsOf({ proxy }: ClusterNode, id: string): ReadonlyMap<string, number> {
  const gets = new Map<string, number>()
  for (const request of proxy.requests) {
    const [method, path = ''] = request.split(' ')
    if (method !== 'GET' || path.includes('list-type=2') || !path.includes(id)) continue
    gets.set(path, (gets.get(path) ?? 0) + 1)
  }
  return gets
}
