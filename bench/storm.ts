import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store, type S3StoreSettings } from '../src/adapters/s3/s3-store.ts'
import { plant } from '../tools/s3/plant.ts'
import { withComment } from '../tools/pictures/distinct-copy.ts'
import { freePort } from '../tools/processes/free-port.ts'
import { createNetworkNamespace, type NetworkNamespace } from '../tools/processes/network-namespace.ts'
import { cpuSeconds, residentBytes } from '../tools/processes/process-use.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { rawRequest } from '../tools/requests/raw-request.ts'
import { type Darkroom, fixture } from '../tools/servers/darkroom.ts'
import { ensureCommand } from '../tools/servers/debian-packages.ts'
import { type FaultProxy, startFaultProxy } from '../tools/servers/fault-proxy.ts'
import type { Nginx } from '../tools/servers/nginx.ts'
import { newStore, startNginxFor, startNodeFor, TOKEN } from '../tools/servers/site.ts'
import { type BenchOptions, type BenchReport, median } from './measure.ts'
import { outcomeOf } from './overload-figures.ts'
import { readPhotographs, uploadBytes } from './render-photographs.ts'
import { askAll, percentile99 } from './render-views.ts'
import { generateLoad } from './run-generator.ts'
import { type StaticNginx, startNotFoundNginx } from './static-nginx.ts'
import { type Storm, sendStorm, UNKNOWN_PREFIX } from './storm-plan.ts'
import { type Measured, reportStorm } from './storm-report.ts'

/** Loopback addresses of the clients. 127.0.0.1 itself has no limits. */
const FROM = { storm: '127.0.0.2', crawler: '127.0.0.3', viewers: '127.0.0.9' } as const
const STORM = { perSecond: 10_000, connections: 64 } as const
const CRAWLER_CLIENTS = 16
const HITS = { requestsPerSecond: 50, seed: 7 } as const
const FIRST_VIEWS = { requestsPerSecond: 2, seed: 20_261_130 } as const
const UPLOAD_EVERY_MS = 2000
/** Measurements. */
const LOADS = 5

interface Scale {
  /** Planted in the store: the node has seen none. */
  readonly originals: number
  /** Distinct pictures of the crawler; it has no time for all of them. */
  readonly pictures: number
  readonly addresses: number
  readonly seconds: number
}
const FULL: Scale = { originals: 500, pictures: 100_000, addresses: 1000, seconds: 60 }
const SMOKE: Scale = { originals: 10, pictures: 1000, addresses: 20, seconds: 1 }

interface Stage {
  readonly scale: Scale
  readonly node: Darkroom
  /** Of the same store. */
  readonly other: Darkroom
  readonly nginx: Nginx
  /** Answers 404. */
  readonly notFound: StaticNginx
  readonly proxy: FaultProxy
  readonly namespace: NetworkNamespace
  readonly namespacePort: number
  readonly hits: readonly string[]
  readonly crawled: readonly string[]
  /** First views of the viewers. */
  readonly viewed: readonly string[]
  /** A small picture, to upload copies. */
  readonly picture: Buffer
}

/**
 * Requests for ids that do not exist, from one address and from a thousand, beside a crawler: what other viewers notice, and what
 * reaches the store. Uploads go to another node, and each is requested at once.
 */
export async function benchStorm({ smoke, imagesDir, seconds }: BenchOptions): Promise<BenchReport> {
  const full = { ...FULL, seconds: seconds ?? FULL.seconds }
  const scale = smoke ? SMOKE : full
  const photographs = smoke
    ? [await fixture('mountains.jpg')]
    : await readPhotographs({ folder: imagesDir, prefix: '1mp-' })
  return await inScope(async (scope) => {
    const stage = await setStage(scope, scale, photographs)
    const alone = await measure(stage, { index: 0 })
    const crawler = await measure(stage, { index: 1, crawls: true })
    const floor = await measure(stage, { index: 2, crawls: true, storm: 'floor' })
    const fromOne = await measure(stage, { index: 3, crawls: true, storm: 'one' })
    const fromMany = await measure(stage, { index: 4, crawls: true, storm: 'many' })
    return reportStorm(scale, { alone, crawler, floor, fromOne, fromMany })
  })
}

async function setStage(scope: Scope, scale: Scale, photographs: readonly Buffer[]): Promise<Stage> {
  await ensureCommand('ip', { packages: ['iproute2'], services: [] })
  const namespace = await createNetworkNamespace(scope, scale.addresses)
  const { env, endpoint, settings } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  const ids = await plantCopies(settings, photographs, scale.originals)
  const shared = { ...env, UPLOAD_TOKENS: TOKEN, ACCEL_PREFIX: '/_renditions/', LOG_LEVEL: 'warn' }
  const node = await startNodeFor(scope, { env: { ...shared, S3_ENDPOINT: proxy.endpoint } })
  const other = await startNodeFor(scope, { env: shared })
  scope.after(proxy.stop)
  const namespacePort = await freePort()
  const notFound = await startNotFoundNginx()
  scope.after(notFound.stop)
  const alsoListen = `listen ${namespace.hostAddress}:${namespacePort};`
  const nginx = await startNginxFor(scope, node, { alsoListen })
  const hits = ids.slice(0, 20).map((id) => `/image/${id}/150w/x.jpg`)
  await askAll(
    hits.map((path) => `${nginx.origin}${path}`),
    2,
  )
  const sizes = Math.ceil(scale.pictures / ids.length)
  return {
    scale,
    node,
    other,
    nginx,
    notFound,
    proxy,
    namespace,
    namespacePort,
    hits,
    crawled: picturesOf(ids, sizes, 60).slice(0, scale.pictures),
    viewed: picturesOf(ids, sizes, 80),
    picture: await fixture('mountains.jpg'),
  }
}

/** Originals that are in the store only. */
async function plantCopies(
  settings: S3StoreSettings,
  photographs: readonly Buffer[],
  count: number,
): Promise<readonly string[]> {
  const store = createS3Store(settings)
  try {
    return await plant(store, count, (copy) => {
      const photograph = photographs[copy % photographs.length]
      assert.ok(photograph, 'There are photographs')
      return withComment(photograph, `storm ${copy}`)
    })
  } finally {
    store.close()
  }
}

/** The next one is always of another original. */
function picturesOf(ids: readonly string[], sizes: number, quality: number): readonly string[] {
  return Array.from({ length: sizes }, (_, size) => size).flatMap((size) =>
    ids.map((id) => `/image/${id}/${200 + ((size * 149) % 400)}w,q${quality + (Math.floor(size / 400) % 10)}/x.jpg`),
  )
}

type StormKind = 'one' | 'many' | 'floor'

interface Load {
  /** Of the measurement: no two request the same picture first. */
  readonly index: number
  readonly crawls?: true
  /** Addresses of the storm; `floor`: from one, to an nginx that answers 404 by itself. */
  readonly storm?: StormKind
}

async function measure(stage: Stage, load: Load): Promise<Measured> {
  const { scale, node, nginx, notFound, proxy } = stage
  const { seconds } = scale
  const { port } = nginx
  const from = Math.floor((load.index * stage.crawled.length) / LOADS)
  const fromViewed = Math.floor((load.index * stage.viewed.length) / LOADS)
  const serverCpu = async () =>
    (await cpuSeconds(node.pid)) + (await cpuSeconds(nginx.pid)) + (await cpuSeconds(notFound.pid))
  const cpuBefore = await serverCpu()
  const asked = proxy.requests.length
  const visit = ({ requestsPerSecond, seed }: typeof HITS | typeof FIRST_VIEWS, paths: readonly string[]) =>
    generateLoad({ port, from: FROM.viewers, paths, load: { segments: [{ requestsPerSecond, seconds }], seed } })
  const crawl = { port, from: FROM.crawler, paths: stage.crawled.slice(from) }
  const [hits, views, crawled, storm, uploads] = await Promise.all([
    visit(HITS, stage.hits),
    visit(FIRST_VIEWS, stage.viewed.slice(fromViewed)),
    load.crawls && generateLoad({ ...crawl, load: { clients: CRAWLER_CLIENTS, seconds } }),
    load.storm && startStorm(stage, load.index, load.storm),
    uploadElsewhere(stage, load.index),
  ])
  const servers = (await serverCpu()) - cpuBefore
  const generators = [hits, views, crawled, storm].reduce((sum, each) => sum + (each ? each.cpuSeconds : 0), 0)
  const span = { fromMs: 0, toMs: seconds * 1000 }
  const timesOf = ({ samples }: typeof hits) => samples.filter(([, , status]) => status === 200).map(([, took]) => took)
  const crawlerOutcome = crawled && outcomeOf(crawled.samples, span)
  return {
    hitsP99: percentile99(timesOf(hits)),
    firstViewsP50: median(timesOf(views)),
    firstViewsP99: percentile99(timesOf(views)),
    failed: [...hits.samples, ...views.samples].filter(([, , status]) => status !== 200).length,
    crawledPerSecond: crawlerOutcome?.goodput ?? 0,
    crawlerRefused: crawlerOutcome ? crawlerOutcome.refused + crawlerOutcome.failed : 0,
    storm,
    storeRequests: proxy.requests.slice(asked).filter((line) => line.includes(`/${UNKNOWN_PREFIX}`)).length,
    ...uploads,
    residentBytes: (await residentBytes(node.pid)).now,
    cpu: { servers, generators },
  }
}

async function startStorm(
  { scale, nginx, notFound, namespace, namespacePort }: Stage,
  index: number,
  kind: StormKind,
): Promise<Storm> {
  const plan = { ...STORM, seconds: scale.seconds, first: index * 1e9 }
  const here = { ...plan, host: '127.0.0.1', addresses: [FROM.storm] }
  if (kind === 'one') return await sendStorm({ ...here, port: nginx.port })
  if (kind === 'floor') return await sendStorm({ ...here, port: Number(new URL(notFound.url).port) })
  const { hostAddress, addresses, through } = namespace
  return await sendStorm({ ...plan, host: hostAddress, port: namespacePort, addresses }, through)
}

/** Uploads to the other node, and requests each picture from this one as soon as its upload is answered. */
async function uploadElsewhere({ scale, nginx, other, picture }: Stage, index: number) {
  const end = performance.now() + scale.seconds * 1000
  let [uploads, uploadsMissed] = [0, 0]
  for (; performance.now() < end; uploads += 1) {
    const { id } = await uploadBytes(other.url, withComment(picture, `upload ${index} ${uploads}`))
    const { status } = await rawRequest(nginx.origin, `/image/${id}/100w/x.jpg`, { from: FROM.viewers })
    if (status !== 200) uploadsMissed += 1
    await delay(UPLOAD_EVERY_MS)
  }
  return { uploads, uploadsMissed }
}
