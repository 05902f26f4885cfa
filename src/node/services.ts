import type { RendererPool } from '../adapters/renderer/renderer-pool.ts'
import type { Config } from '../config/env.ts'
import { sizePolicy } from '../config/size-policy.ts'
import { primedSpecs } from '../domain/access/size-policy.ts'
import type { DialectSettings } from '../domain/dialect/dialects.ts'
import type { ImageEvent } from '../domain/info/image-event.ts'
import { type AddressBlock, parseAddressBlock } from '../domain/network/ip-address.ts'
import { formatSpec } from '../domain/spec/spec.ts'
import {
  createDeletionGuard,
  createInvalidationWatch,
  type DeletionGuard,
  type InvalidationWatch,
} from '../service/deletion/guard.ts'
import { createAliasService } from '../service/library/alias-service.ts'
import { createDeletionService } from '../service/library/deletion-service.ts'
import { createEventFeed } from '../service/library/event-feed.ts'
import { createEventService } from '../service/library/event-service.ts'
import { createImageList } from '../service/library/image-list.ts'
import { createInfoService, createRecordService } from '../service/library/info-service.ts'
import { createIngestService } from '../service/library/ingest-service.ts'
import { createNightly } from '../service/library/nightly.ts'
import { createOutbox } from '../service/library/outbox.ts'
import { createPurgeService } from '../service/library/purge-service.ts'
import { createReconciliation } from '../service/library/reconciliation.ts'
import { createWorkQueue, type WorkQueue } from '../service/load/work-queue.ts'
import { createBuckets } from '../service/originals/buckets.ts'
import { createOriginalService } from '../service/originals/fetch.ts'
import { createHosts } from '../service/originals/hosts.ts'
import { createNewRemotes } from '../service/originals/new-remotes.ts'
import { createResolver } from '../service/originals/resolve.ts'
import { createUploads } from '../service/originals/uploads.ts'
import type { ImageCache, Spool } from '../service/ports/cache.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { StoreReads } from '../service/ports/replicas.ts'
import type { ObjectStore } from '../service/ports/store.ts'
import { createMezzanineDemand } from '../service/renditions/mezzanine-demand.ts'
import { createMezzanineService } from '../service/renditions/mezzanines.ts'
import { createPrimeService } from '../service/renditions/prime.ts'
import { createRenderBatcher } from '../service/renditions/render.ts'
import { createSharedRenditions } from '../service/renditions/shared-renditions.ts'
import { createSourceService } from '../service/renditions/source.ts'
import { createViewService } from '../service/renditions/view.ts'
import { createLeftWork, type LeftWork } from '../service/tools/left-work.ts'
import { createListeners } from '../service/tools/listeners.ts'
import type { Peers } from './membership.ts'
import { type Disk, type Elsewhere, sharesRenditions } from './outside.ts'
import type { Parts } from './parts.ts'

/** The systems outside of the services. */
export interface Outside {
  readonly store: ObjectStore
  /** Undefined for a file store. */
  readonly reads: StoreReads | undefined
  readonly disk: Disk
  readonly renderers: RendererPool
  readonly meter: Meter
  readonly elsewhere: Elsewhere
  /** Whether a cache outside has to know of objects that change in a bucket. */
  readonly reportsChanges: boolean
  readonly peers: Peers
  /** Identifies this process in the keys of the store: 8 hex digits. */
  readonly node: string
}

/** The use cases. Those with a life cycle are added to the parts, in the order in which they forget a deleted image. */
export function createServices(config: Config, outside: Outside, parts: Parts) {
  const { store, disk, meter, peers } = outside
  const { now } = Date
  const watch = createInvalidationWatch({
    store,
    cache: disk.cache,
    meter,
    now,
    onForget: parts.forget,
    onAnnounced: peers.hints.announce,
  })
  const left = {
    leftFetches: parts.add(createLeftWork(Math.ceil(config.FETCH_CONCURRENCY / LEFT_PART))),
    leftRenders: parts.add(createLeftWork(config.RENDER_CONCURRENCY * MAX_LEFT_RENDERS)),
  }
  const foundation: Foundation = {
    ...outside,
    ...disk,
    ...left,
    ...createQueues(config, outside),
    engine: outside.renderers,
    watch,
    guard: createDeletionGuard({ watch }),
    now,
    maxRemembered: config.MEMORY_CACHE_ENTRIES,
    fetchTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000,
    // The other half is for incoming originals.
    maxHeldBytes: Math.floor(disk.memoryCacheBytes / 2),
  }
  const found = { ...foundation, ...createOriginals(config, foundation, parts) }
  const made = { ...found, ...createRenditions(config, found, parts) }
  return { ...made, ...createLibrary(config, made, parts) }
}

export type Services = ReturnType<typeof createServices>

/** Requests that were canceled take at most this part of the fetches, so that a client cannot occupy them all. */
const LEFT_PART = 4
/** For each renderer: with one decode for several sizes. A render that has begun occupies its renderer in any case. */
const MAX_LEFT_RENDERS = 20

interface Queues {
  readonly renderQueue: WorkQueue
  readonly fetchQueue: WorkQueue
}

/** The dependencies of most services. */
interface Foundation extends Outside, Queues {
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: RendererPool
  readonly watch: InvalidationWatch
  readonly leftFetches: LeftWork
  readonly leftRenders: LeftWork
  readonly guard: DeletionGuard
  readonly now: () => number
  readonly maxRemembered: number
  readonly fetchTimeoutMs: number
  readonly maxHeldBytes: number
}

function createQueues(config: Config, { disk, meter }: Outside): Queues {
  const patience = {
    maxWaitMs: config.RENDER_WAIT_MAX_SECONDS * 1000,
    // A render that begins later could not end within the timeout of its request.
    maxAgeMs: (config.REQUEST_TIMEOUT_SECONDS - config.RENDER_TIMEOUT_SECONDS) * 1000,
  }
  const renderQueue = createWorkQueue({
    name: 'a renderer',
    concurrency: config.RENDER_CONCURRENCY,
    maxWaiting: config.RENDER_QUEUE_MAX,
    maxHeldBytes: Math.floor(disk.memoryCacheBytes / 2),
    onTurn: meter.waited,
    ...patience,
  })
  const fetchQueue = createWorkQueue({
    name: 'the object store',
    concurrency: config.FETCH_CONCURRENCY,
    maxWaiting: config.FETCH_QUEUE_MAX,
    ...patience,
  })
  return { renderQueue, fetchQueue }
}

/** The sources of originals, what they have now, and the originals on this node. */
function createOriginals(config: Config, foundation: Foundation, parts: Parts) {
  const { store, elsewhere, cache, maxHeldBytes } = foundation
  const hosts = createHosts({
    ...foundation,
    source: elsewhere.remotes,
    hosts: elsewhere.remoteHosts,
    newRemotes: createNewRemotes({ ...newRemoteLimits(config), now: () => performance.now() }),
    maxOriginalBytes: config.MAX_UPLOAD_BYTES,
    staleIfErrorSeconds: config.REMOTE_STALE_IF_ERROR_SECONDS,
    ...(config.REMOTE_KEEP_RENDITIONS && { keptRenditions: String(cache.mtimeSeconds) }),
  })
  const buckets = createBuckets({ ...foundation, buckets: elsewhere.buckets })
  const versions = createResolver({ uploads: createUploads(store), buckets, hosts }, foundation)
  const originals = createOriginalService({
    ...foundation,
    versions,
    maxOriginalBytes: config.MAX_UPLOAD_BYTES,
    maxLooseBytes: maxHeldBytes,
  })
  for (const source of [hosts, buckets]) {
    parts.add({
      get pending() {
        return source.pending
      },
    })
  }
  return { versions: parts.add(versions), originals: parts.add(originals) }
}

type Originals = ReturnType<typeof createOriginals>

/** Everything that is made from originals. */
function createRenditions(config: Config, found: Foundation & Originals, parts: Parts) {
  const mezzanines = createMezzanineService({ ...found, minPixels: config.MEZZANINE_MIN_PIXELS })
  const infos = createInfoService(found)
  const shared = parts.add(createSharedRenditions({ ...found, ...sharingTerms(config, found) }))
  const views = createViewService({
    ...found,
    mezzanines,
    shared,
    demand: createMezzanineDemand({ ...found, mezzaninesAt: config.MEZZANINES_AT }),
    shelf: found.versions.renditions,
    sources: createSourceService({ ...found, mezzanines, maxSide: config.MAX_SIDE }),
    batcher: createRenderBatcher({ ...found, maxWaiting: config.RENDER_QUEUE_MAX }),
    maxSide: config.MAX_SIDE,
    memoryBytes: found.disk.memoryCacheBytes,
    keepBytes: config.ACCEL_PREFIX === '',
  })
  return {
    shared,
    mezzanines: parts.add(mezzanines),
    infos: parts.add(infos),
    views: parts.add(views),
    primes: parts.add(createPrimeService({ ...found, views, mezzanines })),
  }
}

type Renditions = ReturnType<typeof createRenditions>

function sharingTerms(config: Config, { elsewhere, cache }: Pick<Foundation, 'elsewhere' | 'cache'>) {
  const sizes = [
    ...primedSpecs(config.PRIME_SIZES, sizePolicy(config)),
    ...elsewhere.told.flatMap(({ primeSizes }) => primeSizes),
  ]
  return {
    keepDays: config.SHARE_RENDITIONS_DAYS,
    pipeline: cache.mtimeSeconds,
    overMs: sharesRenditions(config) ? config.SHARE_RENDITIONS_OVER_MS : undefined,
    primed: new Set(sizes.map(formatSpec)),
  }
}

/** Operations on uploaded images and on buckets. */
function createLibrary(config: Config, made: Foundation & Originals & Renditions, parts: Parts) {
  const keepMs = config.EVENTS_KEEP_DAYS * 86_400_000
  const feed = parts.add(createEventFeed({ ...made, keepMs }), 'requests')
  const written = createListeners<readonly ImageEvent[]>()
  const outbox = parts.add(createOutbox({ ...made, onWritten: written.tell }))
  written.add(feed.wake)
  const reconciliation = createReconciliation({ ...made, outbox })
  return {
    outbox,
    /** Called with the events of each batch that this process has written. */
    onEvents: written.add,
    feed,
    nightly: createNightly({ ...made, reconciliation, keepMs }),
    imageList: createImageList(made.store),
    events: parts.add(createEventService({ ...made, outbox, buckets: made.elsewhere.told })),
    ingest: createIngestService({ ...made, derived: made, outbox, maxUploadBytes: config.MAX_UPLOAD_BYTES }),
    purges: parts.add(createPurgeService({ ...made, ...made.elsewhere, outbox })),
    records: createRecordService(made.store),
    deletions: createDeletionService({ ...made, outbox }),
    aliases: createAliasService(made.store, made.maxRemembered),
  }
}

export function dialectSettings(config: Config): DialectSettings {
  const length = config.THUMBOR_SIGNATURE_LENGTH
  return {
    mounts: config.DIALECTS,
    thumbor: { keys: config.THUMBOR_KEYS, hash: config.THUMBOR_HASH, ...(length !== undefined && { length }) },
    imgproxy: {
      keys: config.IMGPROXY_KEYS,
      sizeBytes: config.IMGPROXY_SIGNATURE_BYTES,
    },
    bases: { thumbor: config.THUMBOR_BASE, imgproxy: config.IMGPROXY_BASE, ipx: config.IPX_BASE },
    formatless: config.DIALECT_FORMAT,
  }
}

/** Maximum new remote images per minute, in total and for each client. */
function newRemoteLimits({ REMOTE_NEW_PER_MINUTE: perMinute, REMOTE_NEW_PER_CLIENT: perClient }: Config) {
  return { perMinute, perClient: perClient ?? Math.ceil(perMinute / 4) }
}

const LOOPBACK = ['127.0.0.0/8', '::1'] as const

/**
 * Trusted proxies. With `ACCEL_PREFIX` this includes the nginx on this machine, which overwrites the client's header.
 */
export function trustedProxies({ ACCEL_PREFIX, TRUSTED_PROXIES }: Config): readonly AddressBlock[] {
  return [...(ACCEL_PREFIX === '' ? [] : LOOPBACK.map(parseAddressBlock)), ...TRUSTED_PROXIES]
}
