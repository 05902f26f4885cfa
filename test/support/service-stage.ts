import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { AskedRef } from '../../src/domain/identity/image-id.ts'
import { imageIdFromSha256 } from '../../src/domain/identity/image-id.ts'
import { parseRemoteHost } from '../../src/domain/network/remote-hosts.ts'
import { originalKey } from '../../src/domain/stored/store-layout.ts'
import { createDeletionGuard, createInvalidationWatch } from '../../src/service/deletion/guard.ts'
import { createAliasService } from '../../src/service/library/alias-service.ts'
import { createDeletionService } from '../../src/service/library/deletion-service.ts'
import { createEventService, type ToldBucket } from '../../src/service/library/event-service.ts'
import { createInfoService, createRecordService } from '../../src/service/library/info-service.ts'
import { createIngestService } from '../../src/service/library/ingest-service.ts'
import { createOutbox } from '../../src/service/library/outbox.ts'
import { createWorkQueue } from '../../src/service/load/work-queue.ts'
import { createBuckets, type ServedBucket } from '../../src/service/originals/buckets.ts'
import { createOriginalService } from '../../src/service/originals/fetch.ts'
import { createHosts } from '../../src/service/originals/hosts.ts'
import { createNewRemotes } from '../../src/service/originals/new-remotes.ts'
import { createResolver, type Resolver } from '../../src/service/originals/resolve.ts'
import { createUploads } from '../../src/service/originals/uploads.ts'
import type { Meter } from '../../src/service/ports/meter.ts'
import type { Version } from '../../src/service/ports/originals.ts'
import type { RemoteSource } from '../../src/service/ports/remote.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import type { Rendition, RenditionName } from '../../src/service/renditions/look-up.ts'
import { createMezzanineDemand } from '../../src/service/renditions/mezzanine-demand.ts'
import { createMezzanineService } from '../../src/service/renditions/mezzanines.ts'
import { createPrimeService } from '../../src/service/renditions/prime.ts'
import { createRenderBatcher } from '../../src/service/renditions/render.ts'
import { createSharedRenditions } from '../../src/service/renditions/shared-renditions.ts'
import { createSourceService } from '../../src/service/renditions/source.ts'
import { createViewService, type View, type ViewService } from '../../src/service/renditions/view.ts'
import { createLeftWork } from '../../src/service/tools/left-work.ts'
import { createMemoryCache, createMemoryDisk, createMemorySpool, type MemoryDisk } from './memory-cache.ts'
import { createMemoryEngine } from './memory-engine.ts'
import { createMemoryStore } from './memory-store.ts'

export const never = new AbortController().signal

export type MemoryStore = ReturnType<typeof createMemoryStore>

export interface Clock {
  ms: number
}

export interface StageOptions {
  /** Shared with other nodes. */
  readonly store?: MemoryStore
  /** As an earlier process of this node left it. */
  readonly disk?: MemoryDisk
  readonly clock?: Clock
  readonly keepBytes?: boolean
  /** Fewest pixels of an original that gets mezzanines. Absent: none does. */
  readonly minPixels?: number
  /** Changed objects are reported in events. */
  readonly reportsChanges?: boolean
  /** The size of an object with which its mezzanines are made. Default: the second. */
  readonly mezzaninesAt?: 'first' | 'second'
  /** By alias. */
  readonly buckets?: ReadonlyMap<string, ServedBucket>
  readonly remoteSource?: RemoteSource
  readonly keepRenditions?: boolean
  /** In all, in a minute. */
  readonly newRemotes?: number
  /** Entries of each table in memory. */
  readonly maxRemembered?: number
  /** Of renditions. */
  readonly memoryBytes?: number
  /** In the keys of the batches of events. */
  readonly node?: string
  /** Expected cost from which renditions are shared. Absent: none is. */
  readonly shareOverMs?: number
  /** Primed sizes. */
  readonly primed?: readonly string[]
  /** Buckets that may tell. */
  readonly told?: readonly ToldBucket[]
}

/** All services of a node over ports in memory, and what went to the store as `<method> <key>`. */
export function createStage(options: StageOptions = {}) {
  const disk = options.disk ?? createMemoryDisk()
  const objects = options.store ?? createMemoryStore()
  const clock = options.clock ?? { ms: 1_800_000_000_000 }
  const now = () => clock.ms
  const { maxRemembered = 1000 } = options
  const asked: string[] = []
  const troubles: string[] = []
  const store = recordCalls(objects, disk, asked)
  const meter: Meter = {
    rendered() {},
    fetched() {},
    waited() {},
    trouble: (message) => void troubles.push(message),
  }
  const cache = createMemoryCache(disk)
  const spool = createMemorySpool(disk)
  const engine = createMemoryEngine(disk)
  const queue = (name: string) => createWorkQueue({ name, concurrency: 2, maxWaiting: 100, maxWaitMs: 60_000 })
  const renderQueue = queue('a renderer')
  const watch = createInvalidationWatch({
    store,
    cache,
    meter,
    now,
    onForget(ids) {
      versions.forget(ids)
      originals.forget(ids)
      mezzanines.forget(ids)
      infos.forget(ids)
      views.forget(ids)
      sharedRenditions.forget(ids)
    },
  })
  const guard = createDeletionGuard({ watch })
  const left = { leftFetches: createLeftWork(2), leftRenders: createLeftWork(2) }
  const buckets = createBuckets({ buckets: options.buckets ?? new Map(), cache, guard, now, maxRemembered })
  const hosts = createHosts({
    source: options.remoteSource ?? { fetch: () => Promise.reject(new Error('No remotes')), close: async () => {} },
    store,
    meter,
    hosts: ['a.example', 'b.example?v'].map(parseRemoteHost),
    newRemotes: createNewRemotes({ perMinute: options.newRemotes ?? 100, perClient: 50, now }),
    ...(options.keepRenditions && { keptRenditions: '1' }),
    cache,
    spool,
    engine,
    now,
    maxRemembered,
    maxOriginalBytes: 1000,
    staleIfErrorSeconds: 1_000_000,
    maxHeldBytes: 1000,
  })
  const versions = createResolver(
    { uploads: createUploads(store), buckets, hosts },
    { ...left, guard, now, maxRemembered },
  )
  const originals = createOriginalService({
    versions,
    cache,
    ...left,
    spool,
    engine,
    guard,
    meter,
    fetchQueue: queue('the object store'),
    maxOriginalBytes: 1000,
    fetchTimeoutMs: 5000,
    now,
    maxRemembered,
    maxLooseBytes: 1000,
  })
  const fetchQueue = queue('the object store')
  const shared = {
    ...left,
    store,
    versions,
    cache,
    engine,
    originals,
    guard,
    fetchQueue,
    renderQueue,
    meter,
    maxRemembered,
  }
  const mezzanines = createMezzanineService({ ...shared, minPixels: options.minPixels ?? 0, fetchTimeoutMs: 5000 })
  const infos = createInfoService(shared)
  const sharedRenditions = createSharedRenditions({
    ...shared,
    now,
    overMs: options.shareOverMs,
    primed: new Set(options.primed ?? []),
    keepDays: 30,
    pipeline: cache.mtimeSeconds,
  })
  const views = createViewService({
    ...left,
    shared: sharedRenditions,
    versions,
    cache,
    originals,
    mezzanines,
    demand: createMezzanineDemand({ mezzaninesAt: options.mezzaninesAt ?? 'second', maxRemembered }),
    shelf: versions.renditions,
    sources: createSourceService({ originals, mezzanines, maxSide: 2000 }),
    batcher: createRenderBatcher({ engine, renderQueue, meter, maxWaiting: 100 }),
    renderQueue,
    guard,
    meter,
    now,
    maxRemembered,
    maxSide: 2000,
    memoryBytes: options.memoryBytes ?? 1_000_000,
    keepBytes: options.keepBytes ?? false,
  })
  const outbox = createOutbox({ store, meter, now, node: options.node ?? '0000000a' })
  const ingest = createIngestService({
    store,
    outbox,
    spool,
    cache,
    engine,
    originals,
    derived: { mezzanines, infos },
    guard,
    renderQueue,
    maxUploadBytes: 1000,
    now,
  })
  const primes = createPrimeService({ views, mezzanines, meter })
  return {
    disk,
    /** To be shared with another node. */
    memory: objects,
    objects: objects.objects,
    clock,
    asked,
    troubles,
    store,
    cache,
    engine,
    watch,
    originals,
    mezzanines,
    infos,
    views,
    renditions: viewById(views),
    renderQueue,
    versions,
    left,
    sharedRenditions,
    currentOf: (ref: AskedRef, signal: AbortSignal) => currentVersion(versions, ref, signal),
    primes,
    events: createEventService({
      buckets: options.told ?? [],
      watch,
      versions,
      primes,
      meter,
      outbox,
      reportsChanges: options.reportsChanges ?? false,
      now,
    }),
    outbox,
    ingest,
    upload: (bytes: Buffer) => ingest.ingest(Readable.from([bytes]), {}, never),
    records: createRecordService(store),
    deletions: createDeletionService({ store, watch, shared: sharedRenditions, outbox, now }),
    aliases: createAliasService(store, maxRemembered),
    /** Puts an original into the store behind the services' back. @returns its id. */
    async plant(bytes: Buffer, id = idOf(bytes)): Promise<string> {
      const put = { contentType: 'image/png', sizeBytes: bytes.length, md5: md5(bytes), overwrite: true }
      await objects.put(originalKey(id), { bytes }, put, never)
      return id
    },
  }
}

/** Views of uploads by their id, without an answer. */
function viewById(views: ViewService) {
  return {
    remembered: views.remembered,
    forget: views.forget,
    get flights() {
      return views.flights
    },
    rendition: ({ id, ...wanted }: RenditionName & Omit<View, 'original'>, signal: AbortSignal): Promise<Rendition> =>
      views.view({ original: { kind: 'image', id }, ...wanted }, () => true, signal),
  }
}

async function currentVersion(versions: Resolver, ref: AskedRef, signal: AbortSignal): Promise<Version> {
  const { version } = await versions.resolve(ref, signal)
  if (version === undefined) throw new TypeError('An upload has no versions')
  return version
}

export function idOf(bytes: Buffer): string {
  return imageIdFromSha256(createHash('sha256').update(bytes).digest('hex'))
}

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** The same store, for files of that disk. */
function recordCalls(store: MemoryStore, disk: MemoryDisk, asked: string[]): ObjectStore {
  return {
    ...store,
    open(key, signal) {
      asked.push(`open ${key}`)
      return store.open(key, signal)
    },
    put(key, source, putOptions, signal) {
      asked.push(`put ${key}`)
      const bytes = 'bytes' in source ? source.bytes : disk.files.get(source.path)
      return store.put(key, { bytes: bytes ?? Buffer.alloc(0) }, putOptions, signal)
    },
    remove(key, signal) {
      asked.push(`remove ${key}`)
      return store.remove(key, signal)
    },
  }
}
