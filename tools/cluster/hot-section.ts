import pLimit from 'p-limit'
import { noisePicture } from '../pictures/picture.ts'
import { loadWithWrk } from '../requests/wrk.ts'
import { BACKENDS, type Haproxy } from '../servers/haproxy.ts'
import { claim, count, seconds, type TrialFigure } from '../trials/trial-report.ts'
import { type Cluster, nodesAreIdle } from './cluster.ts'
import { plant } from '../s3/plant.ts'

const OTHERS = 200
/** 1.25 times the mean, and 5 %. */
const MOST = 1.25 * 1.05
const FIRST_SEED = 5000
const VIEWS_AT_ONCE = 8

export interface HotOptions {
  readonly seconds: number
  /** Whether the run is long enough to judge the balance. */
  readonly isJudged: boolean
}

/** Half of all requests go to one picture, the others to many, by 64 connections to each front. */
export async function tryHot(cluster: Cluster, options: HotOptions): Promise<readonly TrialFigure[]> {
  const { nodes, fronts, viewers } = cluster
  const ids = await plant(cluster.store, OTHERS + 1, async (index) => (await noisePicture(FIRST_SEED + index)).bytes)
  const paths = ids.map((id) => `/image/${id}/32w/x.webp`)
  await pLimit(VIEWS_AT_ONCE).map(paths, (path, turn) => viewers.view(cluster.front(turn), path, 'cold'))
  const [hot = '', ...others] = paths
  await nodesAreIdle(nodes)
  const before = await Promise.all(fronts.map(requestsByNode))
  const loads = await Promise.all(
    fronts.map((front, turn) => {
      // The fronts' clients are at different places of the list.
      const list = [...others.slice(turn * 100), ...others.slice(0, turn * 100)]
      return loadWithWrk(
        front.origin,
        options.seconds,
        list.flatMap((path) => [hot, path]),
      )
    }),
  )
  const after = await Promise.all(fronts.map(requestsByNode))
  const requests = nodes.map(({ name }) =>
    after.reduce((sum, each, at) => sum + (each.get(name) ?? 0) - (before[at]?.get(name) ?? 0), 0),
  )
  const total = requests.reduce((sum, each) => sum + each, 0)
  const ratio = (Math.max(...requests) * nodes.length) / total
  const rate = loads.reduce((sum, { requestsPerSecond }) => sum + requestsPerSecond, 0)
  const name = `half of all requests for one picture, ${seconds(options.seconds * 1000)}`
  const bound = claim('busiest node, of the mean', ratio.toFixed(3), `at most ${MOST.toFixed(3)}`, ratio <= MOST)
  return [
    { name, value: `${count(Math.round(rate))} requests/s through ${fronts.length} fronts` },
    { name: 'requests by node', value: requests.map(count).join(', ') },
    options.isJudged ? bound : { name: bound.name, value: bound.value },
  ]
}

/** Requests that a front has sent to each node so far. */
async function requestsByNode(front: Haproxy): Promise<ReadonlyMap<string, number>> {
  const [header = '', ...rows] = (await front.command('show stat')).split('\n')
  const column = header.replace(/^# /, '').split(',').indexOf('stot')
  const backends: readonly string[] = BACKENDS
  const requests = new Map<string, number>()
  for (const row of rows) {
    const fields = row.split(',')
    const [backend = '', node = ''] = fields
    if (!backends.includes(backend) || node === 'BACKEND') continue
    requests.set(node, (requests.get(node) ?? 0) + Number(fields[column]))
  }
  return requests
}
