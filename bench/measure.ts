import { readdir, readFile } from 'node:fs/promises'

/** Linux counts CPU time in these; it is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** What a benchmark found out. */
export interface BenchReport {
  readonly figures: readonly Figure[]
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

/** CPU time that a process and its living children have used so far, in user and kernel, all threads; seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const processes = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(statFields))
  const own = processes.filter(({ id, parent }) => id === pid || parent === pid)
  return own.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
}

async function statFields(id: string): Promise<{ id: number; parent: number; ticks: number }> {
  // A process may end while we look; one that did has no part in anything.
  const text = await readFile(`/proc/${id}/stat`, 'latin1').catch(() => '')
  // The name, in parentheses, may hold anything; state, parent … follow it, user and system time as fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { id: Number(id), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
}

/** Resident memory of a process, now and at its most; bytes. */
export async function residentBytes(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}
