import { type Dirent, lstatSync, readdirSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import { cpuSecondsAtRest } from '../processes/process-use.ts'
import type { Scope } from '../processes/scope.ts'
import { mountSmallDisk } from '../processes/small-disk.ts'
import { ask } from '../requests/ask.ts'
import { uploadFixture } from '../servers/darkroom.ts'
import { startSite, TOKEN } from '../servers/site.ts'
import { createFuzzTally, type FuzzReport, problemOfError } from './fuzz-finding.ts'
import { startHitProbe } from './hit-probe.ts'
import type { Hit } from './hit-probe-worker.ts'

const MIB = 2 ** 20
const DISK_MIB = 256
const BUDGET_BYTES = 64 * MIB
const CLIENTS = 4
const SAMPLE_MS = 100
const CLIENT_NICENESS = 10
/** Between two hits, and how long they are looked at before and after. */
const HIT_PAUSE_MS = 10
const QUIET_MS = 8000

export interface CacheWalkReport {
  readonly sizes: FuzzReport
  readonly budgetBytes: number
  /** Of the cache's files, at any sample. */
  readonly mostBytes: number
  readonly samples: number
  readonly overBudget: number
  readonly leastFreeBytes: number
  /** Of a hot picture through nginx, before, during and after. */
  readonly hits: Readonly<Record<'before' | 'during' | 'after', HitTimes>>
}

/** Of the median during to that before. What is shorter than half a millisecond is the machine's matter. */
const SAME_RATIO = 1.5
const SAME_FROM_MS = 0.5
const SAME_P99_MS = 50

/** In a cache that was never full before, nothing tells what is looked at all the time from the rest, the first time. */
const SAME_MISSES = 1

/** What hits are the same by: a median of at most 1.5 times, 99 of 100 within 50 ms, made anew once at the most. @returns what is not. */
export function changesOfHits({ before, during }: CacheWalkReport['hits']): readonly string[] {
  const limitMs = Math.max(before.median, SAME_FROM_MS) * SAME_RATIO
  return [
    ...(during.median <= limitMs ? [] : [`half of all hits took more than ${limitMs} ms`]),
    ...(during.p99 < SAME_P99_MS ? [] : [`99 of 100 hits took up to ${during.p99} ms`]),
    ...(during.misses <= SAME_MISSES
      ? []
      : [`the picture that everybody looks at was made anew ${during.misses} times`]),
  ]
}

export interface HitTimes {
  readonly asked: number
  /** Those that nginx did not send by itself: the picture had gone from the cache. */
  readonly misses: number
  /** Of all of them, ms. */
  readonly median: number
  readonly p99: number
  readonly longest: number
}

/** Asks for so many distinct sizes of one picture, of a node whose cache is small, on a small disk. */
export async function walkSizes(scope: Scope, count: number): Promise<CacheWalkReport> {
  const disk = await mountSmallDisk(scope, DISK_MIB)
  const cacheDir = join(disk.path, 'cache')
  const env = { CACHE_DIR: cacheDir, CACHE_MAX_BYTES: String(BUDGET_BYTES), CACHE_SWEEP_SECONDS: '1' }
  const { node, nginx, url } = await startSite(scope, env)
  const id = await uploadFixture(node.url, 'mountains.jpg', TOKEN)
  const hot = `/image/${id}/321w/hot.jpg`
  const tally = createFuzzTally()
  const { used, free } = { used: [0], free: [Infinity] }

  // Those who ask have machines of their own: they must not keep a core from what answers.
  setPriority(CLIENT_NICENESS)
  await ask(`${url}${hot}`)
  const probe = startHitProbe(scope, { port: nginx.port, path: hot, pauseMs: HIT_PAUSE_MS })
  const quiet = async (): Promise<readonly Hit[]> => {
    // What has just been started, or is still at work.
    await cpuSecondsAtRest(node.pid)
    probe.take()
    await delay(QUIET_MS)
    return probe.take()
  }
  const before = await quiet()
  const state = { asked: 0, done: false }
  const walk = async (): Promise<void> => {
    while (state.asked < count) {
      state.asked += 1
      const request = `/image/${id}/${sizeOf(state.asked)}/x.jpg`
      const answer = await ask(`${url}${request}`)
      const problem = answer.status === 200 ? undefined : problemOfError(answer)
      tally.answered(String(answer.status), answer.ms, { request }, problem)
    }
  }
  const sample = async (): Promise<void> => {
    while (!state.done) {
      used.push(usedBytes(cacheDir))
      free.push(await disk.freeBytes())
      await delay(SAMPLE_MS)
    }
  }
  const sampling = sample()
  await Promise.all(Array.from({ length: CLIENTS }, walk))
  const during = probe.take()
  state.done = true
  await sampling
  const after = await quiet()
  return {
    sizes: tally.report(state.asked),
    budgetBytes: BUDGET_BYTES,
    mostBytes: Math.max(...used),
    samples: used.length,
    overBudget: used.filter((bytes) => bytes > BUDGET_BYTES).length,
    leastFreeBytes: Math.min(...free),
    hits: { before: timesOf(before), during: timesOf(during), after: timesOf(after) },
  }
}

/** No two alike: widths, then the same widths in other qualities. */
function sizeOf(number: number): string {
  return `${200 + (number % 1000)}w,q${20 + Math.floor(number / 1000)}`
}

/** Of what a budget counts: the renderers' compiled code does not grow. */
function usedBytes(folder: string): number {
  const inodes = new Map<number, number>()
  const walk = (path: string): void => {
    for (const entry of entriesOf(path)) {
      const at = join(path, entry.name)
      if (entry.isDirectory()) walk(at)
      const found = entry.isFile() ? lstatSync(at, { throwIfNoEntry: false }) : undefined
      if (found) inodes.set(found.ino, found.blocks * 512)
    }
  }
  for (const name of Object.values(CACHE_FOLDERS)) if (name !== CACHE_FOLDERS.code) walk(join(folder, name))
  return [...inodes.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/** None of a folder that has just gone. */
function entriesOf(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function timesOf(hits: readonly Hit[]): HitTimes {
  const sorted = hits.map(({ ms }) => ms).toSorted((one, other) => one - other)
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN
  const misses = hits.filter(({ tier }) => tier !== 'nginx').length
  return { asked: hits.length, misses, median: at(0.5), p99: at(0.99), longest: at(1) }
}
