import { setTimeout as delay } from 'node:timers/promises'
import { createMemoryCgroup } from '../processes/memory-cgroup.ts'
import { cpuSecondsAtRest, residentBytes } from '../processes/process-use.ts'
import type { Scope } from '../processes/scope.ts'
import { MISSING_KINDS, startMissingSite } from './missing-site.ts'

/** Resident memory (RSS) of a node's own process, without its renderers'. */
export interface MissingReport {
  /** At rest. */
  readonly startBytes: number
  readonly peakBytes: number
  /** At rest again; NaN if the node has ended. */
  readonly endBytes: number
  /** In the cgroup, renderers included. */
  readonly oomKills: number
  /** Absent if every answer was right. */
  readonly problem?: string
}

export interface MissingOptions {
  /** Of each kind. */
  readonly count: number
  /** Of the node's cgroup. */
  readonly limitBytes: number
  /** Memory may have grown by so much in the end. */
  readonly growthBytes: number
  readonly say: (line: string) => void
}

const MB = 1e6
/** V8 collects in steps while nothing happens: RSS was 257, 220 and 210 MB after 1, 2.5 and 4 min, and still falling. */
const SETTLED_WITHIN_MS = 600_000
const LOOK_MS = 1000

/** Requests of a node in a cgroup `count` distinct missing ids, keys, remote URLs and specs each, and looks at its memory. */
export async function requestMissing(scope: Scope, options: MissingOptions): Promise<MissingReport> {
  const { count, limitBytes, growthBytes, say } = options
  const group = await createMemoryCgroup(limitBytes)
  const { node, request } = await startMissingSite(scope, { through: group.through })
  scope.after(() => group.remove())
  await cpuSecondsAtRest(node.pid)
  const { now: startBytes } = await residentBytes(node.pid)
  let peakBytes = startBytes
  try {
    for (const kind of MISSING_KINDS) {
      const began = performance.now()
      await request(kind, 0, count)
      const { now, peak } = await residentBytes(node.pid)
      peakBytes = peak
      const seconds = Math.round((performance.now() - began) / 1000)
      say(`${count} ${kind}: ${seconds} s, RSS ${Math.round(now / MB)} MB`)
    }
    const endBytes = await settledBytes(node.pid, startBytes + growthBytes)
    return { startBytes, peakBytes, endBytes, oomKills: await group.oomKills() }
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    return { startBytes, peakBytes, endBytes: Number.NaN, oomKills: await group.oomKills(), problem }
  }
}

/** Nobody tells V8 to collect, as in production. */
async function settledBytes(pid: number, wantedBytes: number): Promise<number> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const { now } = await residentBytes(pid)
    if (now <= wantedBytes || performance.now() > deadline) return now
    await delay(LOOK_MS)
  }
}
