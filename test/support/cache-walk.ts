import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CACHE_FOLDERS } from '../../src/domain/cache-layout.ts'
import { ask, filesBelow } from './ask.ts'
import { uploadFixture } from './darkroom.ts'
import { createFuzzTally, type FuzzReport, problemOfError } from './fuzz-finding.ts'
import type { Scope } from './scope.ts'
import { mountSmallDisk } from './small-disk.ts'
import { startSite, TOKEN } from './site.ts'

const MIB = 2 ** 20
const DISK_MIB = 256
const BUDGET_BYTES = 64 * MIB
const CLIENTS = 4
const SAMPLE_MS = 100
const HITS = 300

export interface CacheWalkReport {
  readonly sizes: FuzzReport
  readonly budgetBytes: number
  /** Of the cache's files, at any sample. */
  readonly mostBytes: number
  readonly samples: number
  readonly overBudget: number
  readonly leastFreeBytes: number
  /** Of a hot picture through nginx, ms: median and 99 of 100, before, during and after. */
  readonly hits: Readonly<Record<'before' | 'during' | 'after', { readonly median: number; readonly p99: number }>>
}

/** Asks for so many distinct sizes of one picture, of a node whose cache is small, on a small disk. */
export async function walkSizes(scope: Scope, count: number): Promise<CacheWalkReport> {
  const disk = await mountSmallDisk(scope, DISK_MIB)
  const cacheDir = join(disk.path, 'cache')
  const env = { CACHE_DIR: cacheDir, CACHE_MAX_BYTES: String(BUDGET_BYTES), CACHE_SWEEP_SECONDS: '1' }
  const { node, url } = await startSite(scope, env)
  const id = await uploadFixture(node.url, 'mountains.jpg', TOKEN)
  const hot = `${url}/image/${id}/321w/hot.jpg`
  const tally = createFuzzTally()
  const { used, free, hits } = { used: [0], free: [Infinity], hits: new Array<number>() }

  const before = await hitTimes(hot, HITS)
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
      used.push(await usedBytes(cacheDir))
      free.push(await freeBytes(disk.path))
      hits.push(...(await hitTimes(hot, 1)))
      await delay(SAMPLE_MS)
    }
  }
  const sampling = sample()
  await Promise.all(Array.from({ length: CLIENTS }, walk))
  state.done = true
  await sampling
  const after = await hitTimes(hot, HITS)
  return {
    sizes: tally.report(state.asked),
    budgetBytes: BUDGET_BYTES,
    mostBytes: Math.max(...used),
    samples: used.length,
    overBudget: used.filter((bytes) => bytes > BUDGET_BYTES).length,
    leastFreeBytes: Math.min(...free),
    hits: { before: quantiles(before), during: quantiles(hits), after: quantiles(after) },
  }
}

/** No two alike: widths, then the same widths in other qualities. */
function sizeOf(number: number): string {
  return `${200 + (number % 1000)}w,q${20 + Math.floor(number / 1000)}`
}

async function hitTimes(url: string, count: number): Promise<readonly number[]> {
  const times: number[] = []
  for (let at = 0; at < count; at += 1) {
    const { status, ms } = await ask(url)
    if (status !== 200) throw new Error(`The hot picture was answered ${status}`)
    times.push(ms)
  }
  return times
}

/** Of what a budget counts: the renderers' compiled code does not grow. */
async function usedBytes(folder: string): Promise<number> {
  const inodes = new Map<number, number>()
  for (const file of await filesBelow(folder)) {
    if (file.startsWith(`${CACHE_FOLDERS.code}/`)) continue
    const found = await stat(join(folder, file)).catch(() => undefined)
    if (found) inodes.set(found.ino, found.blocks * 512)
  }
  return [...inodes.values()].reduce((sum, bytes) => sum + bytes, 0)
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

function quantiles(times: readonly number[]): { median: number; p99: number } {
  const sorted = times.toSorted((one, other) => one - other)
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN
  return { median: at(0.5), p99: at(0.99) }
}
