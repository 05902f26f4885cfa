import { setTimeout as delay } from 'node:timers/promises'
import { claim, count, type TrialFigure } from '../trials/trial-report.ts'
import { failureLines, type Judged, judgePhase, lastRequestTo, p99Of, type Phase } from './change-phases.ts'
import { type Cluster } from './cluster.ts'
import { keysOf } from './cold-section.ts'
import type { ClusterNode } from './cluster-node.ts'
import { startSteadyLoad } from './steady-load.ts'

export interface ChangeOptions {
  /** After each change. */
  readonly pauseSeconds: number
  /** Without the store. */
  readonly outageSeconds: number
  /** Requests per second. */
  readonly rate: number
  readonly seed: number
  readonly say: (line: string) => void
}

const KEYS = 400
const FROZEN_MS = 3000
/** Checks that fail: three timeouts of a second, and the pauses between them. */
const NOTICED_WITHIN_MS = 5000
const SHOWN_FAILURES = 20

/** The last of the nodes does not run yet. */
export async function tryChanges(cluster: Cluster, options: ChangeOptions): Promise<readonly TrialFigure[]> {
  const { nodes, fronts, members } = cluster
  const [one, two, three, joining] = nodes
  const [front] = fronts
  if (!one || !two || !three || !joining || !front) throw new TypeError('Four nodes')
  const { pauseSeconds, outageSeconds, say } = options
  const phases: Phase[] = []
  const figures: TrialFigure[] = []
  const keys = keysOf(KEYS)
  const uptimes = await Promise.all(fronts.map(uptimeOf))
  const began = performance.now()
  const load = await startSteadyLoad(cluster, options.rate, options.seed)
  const pause = (): Promise<void> => delay(pauseSeconds * 1000)

  /** @param act Returns what the phase has of its own. */
  const phase = async (name: string, act: (begun: number) => Promise<Partial<Phase>>): Promise<void> => {
    say(`  ${name}`)
    const begun = performance.now()
    const own = await act(begun)
    const settled = performance.now()
    await pause()
    phases.push({ name, begun, settled, ended: performance.now(), ...own })
  }
  const moving = async (name: string, share: number, change: () => Promise<void>): Promise<void> => {
    const before = await cluster.route(keys, front)
    await change()
    const after = await cluster.route(keys, front)
    const moved = before.filter((node, index) => node !== after[index]).length / KEYS
    const value = `${(moved * 100).toFixed(1)} %`
    figures.push(claim(`${name}: originals that move`, value, `at most 1/${share} + 5 %`, moved <= 1 / share + 0.05))
  }
  const isDown = async (node: ClusterNode): Promise<void> => {
    for (const each of fronts) await each.becomes('ready', node.name, 'DOWN')
  }
  const isUp = async (node: ClusterNode): Promise<void> => {
    for (const each of fronts) await each.becomes('ready', node.name, 'UP')
  }

  await phase('before all changes', async () => ({}))
  await phase('a fourth node joins', async () => {
    await moving('a fourth node joins', 4, async () => {
      await joining.start()
      await members.join(joining)
    })
    return {}
  })
  await phase('the fourth node leaves', async () => {
    await moving('the fourth node leaves', 4, async () => {
      await joining.stop()
      await members.leave(joining)
    })
    return {}
  })
  await phase('kill -9 of a node', async () => {
    let until = 0
    await moving('kill -9 of a node', 3, async () => {
      until = performance.now()
      await two.kill()
      await isDown(two)
    })
    return { excused: { node: two.name, until } }
  })
  await phase('it restarts with an empty disk', async () => {
    await two.start('empty')
    await isUp(two)
    return {}
  })
  await phase('another is drained and restarts', async () => {
    await three.stop()
    await three.start()
    await members.join(three)
    return {}
  })
  await phase('SIGSTOP of a node', async (begun) => {
    one.signal('SIGSTOP')
    await isDown(one)
    await pause()
    one.signal('SIGCONT')
    const faultEnded = performance.now()
    await isUp(one)
    return { excused: { node: one.name, until: begun + FROZEN_MS }, faultEnded }
  })
  await phase(`a node without the store for ${outageSeconds} s`, async (begun) => {
    await two.proxy.setFault({ kind: 'silent' })
    await delay(outageSeconds * 1000)
    await two.proxy.setFault(undefined)
    const faultEnded = performance.now()
    await isUp(two)
    return { excused: { node: two.name, until: begun + NOTICED_WITHIN_MS }, faultEnded }
  })
  await load.stop()

  const { exchanges } = load
  const places = await cluster.places(exchanges.map(({ requestId }) => requestId))
  const calm = exchanges.filter(({ kind, begun }) => kind !== 'upload' && begun < (phases[0]?.ended ?? 0))
  const judged: Judged = { phases, exchanges, places, calmMs: p99Of(calm) }
  for (const line of failureLines(judged, SHOWN_FAILURES)) say(line)
  const frozen = phases.find(({ name }) => name.startsWith('SIGSTOP'))
  const unlogged = exchanges.length - places.size
  return [
    { name: 'requests at a steady rate', value: `${count(exchanges.length)}, ${options.rate} per second` },
    { name: 'p99 of views before all changes', value: `${judged.calmMs} ms` },
    claim('requests without a line in the logs of the fronts', String(unlogged), '0', unlogged === 0),
    ...figures,
    ...phases.flatMap((each) => judgePhase(each, judged)),
    ...(frozen ? [lastRequestTo(one.name, frozen, judged)] : []),
    await reloads(cluster, uptimes, (performance.now() - began) / 1000),
  ]
}

/** The fronts run since before all changes. */
async function reloads({ fronts }: Cluster, before: readonly number[], seconds: number): Promise<TrialFigure> {
  const after = await Promise.all(fronts.map(uptimeOf))
  // Both are whole seconds.
  const reloaded = after.filter((uptime, index) => uptime < (before[index] ?? 0) + seconds - 2).length
  return claim('reloads of the fronts', String(reloaded), '0', reloaded === 0)
}

/** Seconds. */
async function uptimeOf(front: Cluster['fronts'][number]): Promise<number> {
  return Number(/^Uptime_sec: (\d+)$/m.exec(await front.command('show info'))?.[1] ?? Number.NaN)
}
