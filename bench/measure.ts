import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Linux counts CPU time in these; it is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** What a benchmark found out. */
export interface BenchReport {
  readonly figures: readonly Figure[]
  /** What the figures do not say, a line each. */
  readonly notes?: readonly string[]
  /** Everything that was measured, for the JSON file. */
  readonly raw: unknown
}

/** A line of the table. */
export interface Figure {
  readonly name: string
  readonly value: number
  /** A ratio has none. */
  readonly unit?: string
  /** In words; absent for what is there to be known only. */
  readonly wanted?: string
}

export interface BenchOptions {
  /** Short: to find out whether everything works, not how fast it is. */
  readonly smoke: boolean
  /** Where `make-images.ts` put its photographs; not used by a smoke run. */
  readonly imagesDir: string
}

/**
 * Measures each candidate once per round, every other round in the opposite order, so that what slows the machine for a
 * while slows all of them.
 *
 * @returns By the candidates' names, a value a round.
 */
export async function measureInTurn<Name extends string, T>(
  names: readonly Name[],
  rounds: number,
  measure: (name: Name, round: number) => Promise<T>,
): Promise<ReadonlyMap<Name, readonly T[]>> {
  const measured = new Map<Name, T[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      measured.get(name)?.push(await measure(name, round))
    }
  }
  return measured
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)) / 2
}

/**
 * CPU time that a process and all that it has started, and they, have used so far, in user and kernel, all threads;
 * seconds. What has ended counts once its parent has heard of it.
 */
export async function cpuSeconds(pid: number): Promise<number> {
  const tree = await processTree(pid)
  return tree.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
}

/** Proportional set size of a process and all that it has started, and they: shared memory counts once; bytes. */
export async function proportionalBytes(pid: number): Promise<number> {
  const tree = await processTree(pid)
  const bytes = await Promise.all(
    tree.map(async ({ id }) => {
      const text = await readFile(`/proc/${id}/smaps_rollup`, 'latin1').catch(() => '')
      return Number(/^Pss:\s*(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
    }),
  )
  return bytes.reduce((sum, each) => sum + each, 0)
}

/** The most that `proportionalBytes` gives while something is done, looked at again and again. @param everyMs The pause. */
export async function peakBytesDuring(pid: number, everyMs: number, work: () => Promise<unknown>): Promise<number> {
  const done = new AbortController()
  const sampling = (async () => {
    let peak = 0
    while (!done.signal.aborted) {
      peak = Math.max(peak, await proportionalBytes(pid))
      await delay(everyMs)
    }
    return peak
  })()
  try {
    await work()
  } finally {
    done.abort()
  }
  return await sampling
}

interface ProcessStat {
  readonly id: number
  readonly parent: number
  /** With those of its children that have ended. */
  readonly ticks: number
}

async function processTree(pid: number): Promise<ProcessStat[]> {
  const all = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(processStat))
  const withDescendants = (stat: ProcessStat): ProcessStat[] => [
    stat,
    ...all.filter(({ parent }) => parent === stat.id).flatMap(withDescendants),
  ]
  return all.filter(({ id }) => id === pid).flatMap(withDescendants)
}

async function processStat(id: string): Promise<ProcessStat> {
  // A process may end while we look; one that did has no part in anything.
  const text = await readFile(`/proc/${id}/stat`, 'latin1').catch(() => '')
  // The name, in parentheses, may hold anything; state, parent … follow it, the four times as fields 14 to 17.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { id: Number(id), parent: Number(fields[1]), ticks }
}

/** Resident memory of a process, now and at its most; bytes. */
export async function residentBytes(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}
