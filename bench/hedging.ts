import assert from 'node:assert/strict'
import pLimit from 'p-limit'
import { createS3Store } from '../src/adapters/s3/s3-store.ts'
import { noisePicture, type Picture } from '../tools/pictures/picture.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { ask, post } from '../tools/requests/ask.ts'
import { replicate } from '../tools/s3/replicate.ts'
import { newBucket } from '../tools/s3/s3-bucket.ts'
import { startSeaweedfs } from '../tools/s3/seaweedfs.ts'
import { backgroundIsDone, type Darkroom } from '../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../tools/servers/fault-proxy.ts'
import { newStore, startNodeFor } from '../tools/servers/site.ts'
import { type BenchOptions, type BenchReport, type Figure, median } from './measure.ts'

const CLIENTS = 2
const DELAY_MS = 2000
/** The reads of the first views teach the node its store's latency. */
const WARM_UP = 200
const ROUNDS = 5
const VIEWS = 400
const PAUSE = {
  kind: 'latency',
  ms: DELAY_MS,
  matching: { method: /^GET$/, path: /\/(?:originals|mezzanines)\//, every: 100 },
} as const
const SIDES = ['steady', 'delayed', 'replica'] as const
type Side = (typeof SIDES)[number]

interface Subject {
  readonly node: Darkroom
  readonly proxies: readonly FaultProxy[]
}

/**
 * First views while the store delays one GET in a hundred by two seconds, with and without a replica, against the same views while
 * it delays none. Each view reads an original from the store, and looks for its mezzanine.
 */
export async function benchHedging({ smoke }: BenchOptions): Promise<BenchReport> {
  const [rounds, views, warmUp] = smoke ? [1, 20, 10] : [ROUNDS, VIEWS, WARM_UP]
  return await inScope(async (scope) => {
    const { subjects, pictures } = await setStage(scope, warmUp + rounds * views)
    for (const side of SIDES) await firstViews(subjects[side], pictures.slice(0, warmUp))
    for (const side of ['delayed', 'replica'] as const) await subjects[side].proxies[0]?.setFault(PAUSE)
    for (const { proxies } of Object.values(subjects)) for (const { requests } of proxies) requests.length = 0
    const times: Record<Side, number[][]> = { steady: [], delayed: [], replica: [] }
    for (let round = 0; round < rounds; round += 1) {
      const from = warmUp + round * views
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed())
        times[side].push(await firstViews(subjects[side], pictures.slice(from, from + views)))
    }
    const gets = (side: Side): number => subjects[side].proxies.reduce((sum, { requests }) => sum + reads(requests), 0)
    return { figures: figuresOf(times, gets), notes: notesOf(times), raw: { times, gets: SIDES.map(gets) } }
  })
}

/** Uploads the pictures, replicates them, and starts a node for each side, which has none of them. */
async function setStage(scope: Scope, count: number) {
  const { env, endpoint, settings } = await newStore()
  const second = await startSeaweedfs()
  scope.after(second.stop)
  const copies = await newBucket(second)
  const uploader = await startNodeFor(scope, { env })
  const limit = pLimit(4)
  const pictures = await Promise.all(
    Array.from({ length: count }, (_, seed) =>
      limit(async () => {
        const picture = await noisePicture(seed, 240, 180)
        assert.equal((await post(uploader.url, picture.bytes)).status, 201)
        return picture
      }),
    ),
  )
  await backgroundIsDone(uploader)
  await uploader.stop()
  const [from, to] = [createS3Store(settings), createS3Store(copies)]
  await replicate(from, to, new AbortController().signal)
  from.close()
  to.close()
  const proxied = async (target: string): Promise<FaultProxy> => {
    const proxy = await startFaultProxy({ target })
    scope.after(proxy.stop)
    return proxy
  }
  const start = async (hasReplica: boolean): Promise<Subject> => {
    const primary = await proxied(endpoint)
    const replica = await proxied(second.endpoint)
    const replicas = { STORE_REPLICAS: `s3://${copies.bucket}?endpoint=${replica.endpoint}` }
    const node = await startNodeFor(scope, {
      env: { ...env, S3_ENDPOINT: primary.endpoint, ...(hasReplica && replicas) },
    })
    return { node, proxies: [primary, replica] }
  }
  const subjects: Record<Side, Subject> = {
    steady: await start(false),
    delayed: await start(false),
    replica: await start(true),
  }
  return { subjects, pictures }
}

/** @returns milliseconds of each. */
async function firstViews({ node }: Subject, pictures: readonly Picture[]): Promise<number[]> {
  const limit = pLimit(CLIENTS)
  return await Promise.all(
    pictures.map(({ id }) =>
      limit(async () => {
        const { status, ms } = await ask(`${node.url}/image/${id}/48w/x.jpg`)
        assert.equal(status, 200)
        return ms
      }),
    ),
  )
}

function reads(requests: readonly string[]): number {
  return requests.filter((request) => /^GET [^?]*\/(?:originals|mezzanines)\//.test(request)).length
}

const quantile = (times: readonly number[], share: number): number =>
  times.toSorted((one, other) => one - other)[Math.floor(times.length * share)] ?? Number.NaN

function figuresOf(times: Readonly<Record<Side, number[][]>>, gets: (side: Side) => number): readonly Figure[] {
  const p99 = (side: Side): number => median(times[side].map((round) => quantile(round, 0.99)))
  return (['delayed', 'replica'] as const).flatMap((side): Figure[] => {
    const name = side === 'delayed' ? 'one GET in 100 delayed by 2 s' : 'the same, with a replica'
    return [
      {
        name: `${name}: p99 of first views, to those without delays`,
        value: p99(side) / p99('steady'),
        wanted: 'at most 2',
      },
      { name: `${name}: GETs, to those without delays`, value: gets(side) / gets('steady'), wanted: 'at most 1.03' },
    ]
  })
}

function notesOf(times: Readonly<Record<Side, number[][]>>): readonly string[] {
  return SIDES.map((side) => {
    const all = times[side].flat()
    const slow = all.filter((ms) => ms >= DELAY_MS).length
    const [p50, p99] = [0.5, 0.99].map((share) => quantile(all, share).toFixed(0))
    return `${side}: ${all.length} first views, p50 ${p50} ms, p99 ${p99} ms, ${slow} of them 2 s or longer`
  })
}
