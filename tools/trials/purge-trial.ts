import { setTimeout as delay } from 'node:timers/promises'
import type { Scope } from '../processes/scope.ts'
import { ask } from '../requests/ask.ts'
import { percentile } from '../requests/percentile.ts'
import { AUTHORIZATION } from '../requests/token.ts'
import { backgroundIsDone, type Darkroom } from '../servers/darkroom.ts'
import { atOnce, HOWS, LABEL, PREFIX, type PurgeTrialOptions, setStage, type Victim } from './purge-stage.ts'
import { folderMark, type PurgeWatch, WATCHED_SIZE, watchNode } from './purge-watch.ts'
import { claim, count, type TrialFigure } from './trial-report.ts'

/** From so many pictures on, times are judged. */
const JUDGED_FROM = 100
const MEDIAN_MS = 150
const SLOWEST_MS = 2000
const ALL_WITHIN_MS = 30_000
const IDS_A_REQUEST = 10
const WIDTHS = 180
/** Not judged: the pace of a client that deletes. */
const PAUSE_MS = 100

/** Pictures are deleted and purged during a storm of renders, while a node is down. */
export async function tryPurges(scope: Scope, options: PurgeTrialOptions): Promise<readonly TrialFigure[]> {
  const { say } = options
  const stage = await setStage(scope, options)
  const { cdn, victims } = stage
  const nodes = stage.nodes.slice(0, options.nodes)
  const sleeper = stage.nodes.at(-1)
  if (sleeper === undefined) throw new RangeError('There is no node')
  say(`${count(victims.length)} pictures on ${stage.nodes.length} nodes`)
  for (const node of stage.nodes) {
    await atOnce(8, victims, async ({ path }) => void (await ask(`${node.url}${path}/${WATCHED_SIZE}`)))
    await backgroundIsDone(node)
  }
  const before = new Map(victims.map((victim) => [victim, folderMark(sleeper, victim)]))
  await untilOneDelivers(stage.nodes)
  process.kill(sleeper.pid, 'SIGKILL')
  await untilOneDelivers(nodes)
  const storm = startStorm(nodes, victims, options.viewers)
  const watches = await Promise.all(nodes.map((node) => watchNode(node, victims)))
  await Promise.all(victims.map(async ({ key }) => key !== undefined && (await stage.replace(key))))

  const began = await purgeAll(nodes, victims)
  const end = performance.now() + ALL_WITHIN_MS
  const isDone = () =>
    victims.every(({ tag }) => cdn.purgesOf(tag).length >= 2) &&
    watches.every((watch) => watch.victims.every((victim) => watch.forgottenAt(victim) !== undefined))
  while (!isDone() && performance.now() < end) await delay(50)
  const seen = await storm.stop()
  for (const watch of watches) watch.stop()

  // The slower of the two APIs.
  const cdnDelay = (victim: Victim) => (cdn.purgesOf(victim.tag)[1] ?? Infinity) - (began.get(victim) ?? 0)
  const figures = [
    ...watches.flatMap((watch, index) => delays(`node ${index + 1}`, delaysOf(watch, began), options)),
    ...delays('stand-in CDN', victims.map(cdnDelay), options),
    ...HOWS.map((how) => {
      const of = victims.filter((victim) => victim.how === how).map(cdnDelay)
      return { name: `stand-in CDN, by ${how}, p50`, value: `${percentile(of, 0.5)} ms` }
    }),
  ]
  for (const node of nodes) await backgroundIsDone(node)
  const deleted = victims.filter(({ how }) => how === 'delete')
  const restored = nodes.flatMap((node) => deleted.filter((victim) => folderMark(node, victim) !== undefined)).length
  const awake = await stage.restart(sleeper)
  const served = await servedBy(awake, nodes[0] ?? awake, victims, before)
  return [
    ...figures,
    { name: 'renders meanwhile', value: `${count(seen.pictures)}, ${count(seen.refused)} answered 404, 410 or 503` },
    claim('other answers', count(seen.others), '0', seen.others === 0),
    claim('deleted pictures restored on a disk', count(restored), '0', restored === 0),
    claim('served by the node that was down', count(served), '0', served === 0),
    claim('wrong calls of the CDN', count(cdn.mistakes.length), '0', cdn.mistakes.length === 0),
  ]
}

async function untilOneDelivers(nodes: readonly Darkroom[]): Promise<void> {
  for (;;) {
    const held = await Promise.all(nodes.map((node) => node.metric('darkroom_relay_holder')))
    if (held.includes(1)) return
    await delay(100)
  }
}

/** Requests new sizes of all pictures, at all nodes. */
function startStorm(nodes: readonly Darkroom[], victims: readonly Victim[], viewers: number) {
  const seen = { pictures: 0, refused: 0, others: 0 }
  const state = { isOver: false }
  let turn = 0
  const view = async (): Promise<void> => {
    while (!state.isOver) {
      turn += 1
      const victim = victims[turn % victims.length]
      const node = nodes[turn % nodes.length]
      const width = 41 + ((turn * 7) % WIDTHS)
      const { status } = await ask(`${node?.url}${victim?.path}/${width}w/x.webp`)
      if (status === 200) seen.pictures += 1
      else if ([404, 410, 503].includes(status)) seen.refused += 1
      else seen.others += 1
    }
  }
  const views = Promise.all(Array.from({ length: viewers }, view))
  views.catch(() => {})
  return {
    async stop() {
      state.isOver = true
      await views
      return seen
    },
  }
}

/** @returns When each deletion and purge was acknowledged, of `performance.now()`. */
async function purgeAll(nodes: readonly Darkroom[], victims: readonly Victim[]): Promise<ReadonlyMap<Victim, number>> {
  const began = new Map<Victim, number>()
  const of = (how: Victim['how']) => victims.filter((victim) => victim.how === how)
  const ids = of('id')
  let turn = 0
  const purge = async (lists: object, some: readonly Victim[]) => {
    const headers = { ...AUTHORIZATION, 'Content-Type': 'application/json' }
    const { status } = await ask(`${nodeOf(nodes, turn)}/purge`, {
      method: 'POST',
      headers,
      body: JSON.stringify(lists),
    })
    if (status !== 202) throw new Error(`a purge was answered ${status}`)
    for (const victim of some) began.set(victim, performance.now())
  }
  for (const victim of of('delete')) {
    turn += 1
    const { status } = await ask(`${nodeOf(nodes, turn)}${victim.path.replace('/image/', '/images/')}`, {
      method: 'DELETE',
      headers: AUTHORIZATION,
    })
    if (status !== 204) throw new Error(`a deletion was answered ${status}`)
    began.set(victim, performance.now())
    await delay(PAUSE_MS)
  }
  for (let at = 0; at < ids.length; at += IDS_A_REQUEST) {
    turn += 1
    const some = ids.slice(at, at + IDS_A_REQUEST)
    await purge({ ids: some.map(({ tag }) => tag) }, some)
    await delay(PAUSE_MS)
  }
  await purge({ labels: [LABEL] }, of('label'))
  await delay(PAUSE_MS)
  await purge({ prefixes: [`photos/${PREFIX}`] }, of('prefix'))
  return began
}

function nodeOf(nodes: readonly Darkroom[], turn: number): string {
  return nodes[turn % nodes.length]?.url ?? ''
}

function delaysOf(watch: PurgeWatch, began: ReadonlyMap<Victim, number>): readonly number[] {
  return watch.victims.map((victim) => (watch.forgottenAt(victim) ?? Infinity) - (began.get(victim) ?? 0))
}

function delays(name: string, all: readonly number[], { pictures }: PurgeTrialOptions): readonly TrialFigure[] {
  // A node may forget a picture before its deletion is acknowledged.
  const [median, slowest] = [0.5, 0.99].map((share) => Math.max(0, percentile(all, share)))
  if (median === undefined || slowest === undefined) return []
  const figure = (share: string, value: number, atMost: number): TrialFigure =>
    pictures >= JUDGED_FROM
      ? claim(`${name}, ${share} after the answer`, `${value} ms`, `≤ ${atMost} ms`, value <= atMost)
      : { name: `${name}, ${share} after the answer`, value: `${value} ms` }
  return [figure('p50', median, MEDIAN_MS), figure('p99', slowest, SLOWEST_MS)]
}

/** Deleted and replaced pictures, and files from before the purge, that the node still has after its return. */
async function servedBy(
  node: Darkroom,
  other: Darkroom,
  victims: readonly Victim[],
  before: ReadonlyMap<Victim, string | undefined>,
): Promise<number> {
  let served = 0
  for (const victim of victims) {
    const { status, headers } = await ask(`${node.url}${victim.path}/${WATCHED_SIZE}`)
    if (victim.how === 'delete' && status !== 410) served += 1
    if (victim.how === 'prefix') {
      const { headers: current } = await ask(`${other.url}${victim.path}/${WATCHED_SIZE}`)
      if (versionIn(headers) !== versionIn(current)) served += 1
    } else if (folderMark(node, victim) === before.get(victim)) served += 1
  }
  return served
}

/** The last part of the ETag of an object's picture. The bytes may differ: sizes that are rendered together share a decoding. */
function versionIn(headers: Headers): string | undefined {
  const version = headers.get('etag')?.split('-')[2]
  if (version === undefined) throw new Error('An answer has no version')
  return version
}
