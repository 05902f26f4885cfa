import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { noisePicture, type Picture } from '../pictures/picture.ts'
import type { Scope } from '../processes/scope.ts'
import { ask, post } from '../requests/ask.ts'
import { startCeph } from '../s3/ceph.ts'
import { replicate } from '../s3/replicate.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import { startSeaweedfs } from '../s3/seaweedfs.ts'
import { backgroundIsDone, type Darkroom } from '../servers/darkroom.ts'
import { newStore, startNodeFor } from '../servers/site.ts'
import { claim, seconds, type TrialFigure } from './trial-report.ts'

export interface FrozenOsdOptions {
  readonly frozenSeconds: number
  /** First views per second of each node. */
  readonly rate: number
  say(line: string): void
}

interface View {
  /** Since the OSD was frozen. */
  readonly atMs: number
  readonly ms: number
  /** 0: no response. */
  readonly status: number
}

const BEFORE_MS = 10_000
const AFTER_MS = 20_000
/** A view that waited for the frozen OSD. */
const SLOW_MS = 1500
const OSD = 0

/**
 * Freezes one of three OSDs of Ceph during first views through two nodes: one with a replica (a bucket of SeaweedFS with the same
 * objects), one without.
 */
export async function freezeOsd(
  scope: Scope,
  { frozenSeconds, rate, say }: FrozenOsdOptions,
): Promise<readonly TrialFigure[]> {
  const ceph = await startCeph()
  scope.after(ceph.stop)
  const second = await startSeaweedfs()
  scope.after(second.stop)
  const { env, settings } = await newStore(ceph)
  const copies = await newBucket(second)
  const totalMs = BEFORE_MS + frozenSeconds * 1000 + AFTER_MS
  const pictures = await uploadPictures(scope, env, Math.ceil((totalMs / 1000) * rate))
  say(`${pictures.length} pictures are in the store`)
  const [from, to] = [createS3Store(settings), createS3Store(copies)]
  scope.after(from.close)
  scope.after(to.close)
  await replicate(from, to, new AbortController().signal)
  const alone = await startNodeFor(scope, { env })
  const STORE_REPLICAS = `s3://${copies.bucket}?endpoint=${copies.endpoint}`
  const replicated = await startNodeFor(scope, { env: { ...env, STORE_REPLICAS } })

  const pid = await ceph.osdPid(OSD)
  const frozenAt = performance.now() + BEFORE_MS
  const [aloneViews, views] = await Promise.all([
    viewAtRate(alone, pictures, { rate, since: frozenAt }),
    viewAtRate(replicated, pictures, { rate, since: frozenAt }),
    (async () => {
      await delay(BEFORE_MS)
      process.kill(pid, 'SIGSTOP')
      say(`OSD ${OSD} is frozen for ${frozenSeconds} s`)
      await delay(frozenSeconds * 1000)
      process.kill(pid, 'SIGCONT')
      say('it continues')
    })(),
  ])
  const movedMs = lastTrouble(views, frozenSeconds)
  return [
    claim(
      'with a replica: last view slower than 1.5 s, or failed, after the freeze',
      seconds(movedMs),
      'at most 5 s',
      movedMs <= 5000,
    ),
    { name: 'with a replica: views during the freeze', value: summary(views, frozenSeconds) },
    { name: 'without: last such view after the freeze', value: seconds(lastTrouble(aloneViews, Infinity)) },
    { name: 'without: views during the freeze', value: summary(aloneViews, frozenSeconds) },
  ]
}

async function uploadPictures(scope: Scope, env: Readonly<Record<string, string>>, count: number): Promise<Picture[]> {
  const node = await startNodeFor(scope, { env })
  const limit = pLimit(4)
  const upload = async (seed: number): Promise<Picture> => {
    const picture = await noisePicture(seed, 240, 180)
    const { status } = await post(node.url, picture.bytes)
    if (status !== 201) throw new Error(`An upload was answered ${status}`)
    return picture
  }
  const pictures = await Promise.all(Array.from({ length: count }, (_, seed) => limit(upload, seed)))
  await backgroundIsDone(node)
  await node.stop()
  return pictures
}

interface Pace {
  readonly rate: number
  /** Time of the freeze, by `performance.now()`. */
  readonly since: number
}

/** Views each picture once, at a rate that does not depend on the responses. */
async function viewAtRate({ url }: Darkroom, pictures: readonly Picture[], { rate, since }: Pace): Promise<View[]> {
  const began = performance.now()
  return await Promise.all(
    pictures.map(async ({ id }, index) => {
      await delay(Math.max(0, began + (index / rate) * 1000 - performance.now()))
      const startedAt = performance.now()
      const status = await ask(`${url}/image/${id}/48w/x.jpg`).then(
        (answer) => answer.status,
        () => 0,
      )
      return { atMs: startedAt - since, ms: performance.now() - startedAt, status }
    }),
  )
}

/** @returns milliseconds from the freeze to the start of the last slow or failed view. */
function lastTrouble(views: readonly View[], untilSeconds: number): number {
  const bad = views.filter(
    ({ atMs, ms, status }) => atMs >= 0 && atMs < untilSeconds * 1000 && (ms > SLOW_MS || status !== 200),
  )
  return Math.max(0, ...bad.map(({ atMs }) => atMs))
}

function summary(views: readonly View[], frozenSeconds: number): string {
  const during = views.filter(({ atMs }) => atMs >= 0 && atMs < frozenSeconds * 1000)
  const failed = during.filter(({ status }) => status !== 200)
  const slow = during.filter(({ ms, status }) => status === 200 && ms > SLOW_MS)
  const statuses = [...new Set(failed.map(({ status }) => status))].toSorted((one, other) => one - other).join(', ')
  const slowest = Math.max(0, ...during.map(({ ms }) => ms))
  return `${during.length} views, ${slow.length} slow, ${failed.length} failed${statuses && ` (${statuses})`}, slowest ${seconds(slowest)}`
}
