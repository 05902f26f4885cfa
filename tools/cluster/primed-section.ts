import { claim, type TrialFigure } from '../trials/trial-report.ts'
import { uploadLarge } from './cold-section.ts'
import { type Cluster, nodesAreIdle } from './cluster.ts'

const PICTURES = 16
const SIZE = '120w'
/** Settings of the nodes. */
export const PRIMED_ENV = { PRIME_SIZES: SIZE } as const

/** Pictures whose sizes are rendered in advance by the node of the upload, then viewed at once through the fronts. */
export async function tryPrimed(cluster: Cluster): Promise<readonly TrialFigure[]> {
  const { nodes, viewers } = cluster
  const ids: string[] = []
  for (let index = 0; index < PICTURES; index += 1) ids.push(await uploadLarge(cluster, `primed ${index}`))
  await nodesAreIdle(nodes)
  const renders = async (): Promise<number> => {
    const each = nodes.map((node) => node.darkroom().metric('darkroom_render_duration_seconds_count'))
    return (await Promise.all(each)).reduce((sum, number) => sum + number, 0)
  }
  const before = await renders()
  const asked = await Promise.all(
    ids.map((id, index) => viewers.view(cluster.front(index), `/image/${id}/${SIZE}`, 'cold')),
  )
  const during = (await renders()) - before
  const good = asked.filter(({ status }) => status === 200).length
  return [
    claim('first views of primed pictures, all at once', `${good} of ${PICTURES} good`, 'all', good === PICTURES),
    claim('renders during them', String(during), '0', during === 0),
  ]
}
