import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Linux counts CPU time in these; it is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
/** Answers have come when nobody uses more CPU than that in each of so many pauses. */
const REST_SECONDS = 0.01
const REST_PAUSES = 3
const PAUSE_MS = 100
const REST_WITHIN_MS = 120_000

/**
 * CPU time that a process and all that it has started, and they, have used so far, in user and kernel, all threads;
 * seconds. What has ended counts once its parent has heard of it.
 */
export async function cpuSeconds(pid: number): Promise<number> {
  const tree = await processTree(pid)
  return tree.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND
}

/** Ids of a process and all that it has started, and they. */
export async function processIds(pid: number): Promise<readonly number[]> {
  return (await processTree(pid)).map(({ id }) => id)
}

/** What the process alone has used so far, in user and kernel, all threads, without any child; seconds. */
export async function ownCpuSeconds(pid: number): Promise<number> {
  return (await processStat(String(pid))).ownTicks / TICKS_PER_SECOND
}

/** What the process and its children have used once they are at rest, done with what they do after answering; seconds. */
export async function cpuSecondsAtRest(pid: number): Promise<number> {
  const deadline = performance.now() + REST_WITHIN_MS
  let last = await cpuSeconds(pid)
  for (let quiet = 0; quiet < REST_PAUSES; ) {
    assert.ok(performance.now() < deadline, `Process ${pid} is still at work`)
    await delay(PAUSE_MS)
    const now = await cpuSeconds(pid)
    quiet = now - last <= REST_SECONDS ? quiet + 1 : 0
    last = now
  }
  return last
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
  /** Without those. */
  readonly ownTicks: number
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
  const sum = (end: number) => fields.slice(11, end).reduce((total, field) => total + Number(field), 0)
  return { id: Number(id), parent: Number(fields[1]), ticks: sum(15), ownTicks: sum(13) }
}

/** Resident memory of a process, now and at its most; bytes. */
export async function residentBytes(pid: number): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}
