import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { createDiskCache, NotACacheError, prepareCacheDir } from '../adapters/cache/disk-cache.ts'
import { createDiskSpool } from '../adapters/cache/disk-spool.ts'
import { createFileStore, prepareFileStore, removeOrphans } from '../adapters/file-store/file-store.ts'
import { createFileStoreReserve } from '../adapters/file-store/file-store-reserve.ts'
import { createRendererPool, type RendererPool } from '../adapters/renderer/renderer-pool.ts'
import { createS3Store } from '../adapters/s3/s3-store.ts'
import { createCacheSweeper } from '../adapters/sweep/cache-sweep.ts'
import { SweepRefused } from '../adapters/sweep/cache-sweep-folder.ts'
import { type Config, ConfigError } from '../config/env.ts'
import type { SizePolicy } from '../domain/access/size-policy.ts'
import { parseDialectMount } from '../domain/dialect/dialect-mount.ts'
import type { DialectSettings } from '../domain/dialect/dialects.ts'
import { type AddressBlock, parseAddressBlock } from '../domain/network/ip-address.ts'
import { defaultRenderMemory } from '../domain/picture/render-memory.ts'
import { isInputFormat } from '../domain/spec/image-format.ts'
import { CACHE_FOLDERS } from '../domain/stored/cache-layout.ts'
import { defaultMemoryCache } from '../domain/stored/memory-cache.ts'
import { createInvalidationWatch } from '../service/deletion/invalidation-watch.ts'
import { createAliasService } from '../service/library/alias-service.ts'
import { createDeletionService } from '../service/library/deletion-service.ts'
import { createEventService } from '../service/library/event-service.ts'
import { createInfoService } from '../service/library/info-service.ts'
import { createIngestService } from '../service/library/ingest-service.ts'
import { createRecordService } from '../service/library/record-service.ts'
import { type CacheKeeper, createCacheKeeper } from '../service/load/cache-keeper.ts'
import { createWorkQueue } from '../service/load/work-queue.ts'
import { createNewRemotes } from '../service/originals/new-remotes.ts'
import { createObjectVersions } from '../service/originals/object-versions.ts'
import { createOriginalService } from '../service/originals/original-service.ts'
import { createRemoteShelf } from '../service/originals/remote-shelf.ts'
import { createRemoteVersions } from '../service/originals/remote-versions.ts'
import { createUploadedOriginals } from '../service/originals/uploaded-originals.ts'
import { createHolders, createVersionService } from '../service/originals/versions.ts'
import type { ImageCache, Meter, ObjectStore, Spool } from '../service/ports/ports.ts'
import { createMezzanineService } from '../service/renditions/mezzanine-service.ts'
import { createPrimeService } from '../service/renditions/prime-service.ts'
import { createRenderBatcher } from '../service/renditions/render-batch.ts'
import { createRenditionService } from '../service/renditions/rendition-service.ts'
import { createSourceService } from '../service/renditions/source-service.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Elsewhere } from './elsewhere.ts'
import { atStart, type PlaceSetting } from './start-trouble.ts'

export function createMeter(log: Log, metrics: Metrics): Meter {
  return {
    rendered: (seconds) => metrics.renderSeconds.observe(seconds),
    fetched: (seconds) => metrics.fetchSeconds.observe(seconds),
    waited: (seconds) => metrics.queueWaitSeconds.observe(seconds),
    trouble: (message, cause) => log.warn({ err: cause }, message),
  }
}

/** @param memoryBytes Of the machine, or what its container may have. */
export function createRenderers(config: Config, meter: Meter, memoryBytes: number): RendererPool {
  const engine = {
    inputFormats: config.INPUT_FORMATS.filter(isInputFormat),
    maxPixels: config.MAX_PIXELS,
    maxFrames: config.MAX_FRAMES,
    timeoutSeconds: config.RENDER_TIMEOUT_SECONDS,
    keepCopyright: config.KEEP_COPYRIGHT,
  }
  const codeFolder = join(config.CACHE_DIR, CACHE_FOLDERS.code)
  const slots = config.RENDER_CONCURRENCY
  return createRendererPool({
    slots,
    engine,
    meter,
    codeFolder,
    memoryBytes: config.RENDER_MEMORY_BYTES ?? defaultRenderMemory(memoryBytes, slots),
  })
}

/** To be called before anything else uses the disk of the cache. @throws ConfigError if it holds something else. */
export async function prepareDisk({ CACHE_DIR: cacheDir }: Config): Promise<void> {
  await atStart(cachePlace(cacheDir), prepareCacheDir(cacheDir)).catch((error: unknown) => {
    throw error instanceof NotACacheError ? new ConfigError(`CACHE_DIR: ${error.message}`) : error
  })
}

export function cachePlace(path: string): PlaceSetting {
  return { name: 'CACHE_DIR', path, example: '/var/cache/darkroom' }
}

export function storePlace(path: string): PlaceSetting {
  return { name: 'STORE', path, example: 'file:/var/lib/darkroom' }
}

/** Another node on the same cache, or cron, is sweeping it. */
function unlessLocked(error: unknown): undefined {
  if (error instanceof SweepRefused && error.reason === 'locked') return undefined
  throw error
}

/** What this node keeps on its own disk, and what keeps that within bounds. */
export interface Disk {
  readonly cache: ImageCache
  readonly spool: Spool
  readonly keeper: CacheKeeper
  /** Budget of the in-memory cache, which is the fallback while the disk takes nothing. */
  readonly memoryCacheBytes: number
}

/** A sweep begins when so much of the budget is used: while it is at work, and before the next, more is written. */
const SWEEP_AT = 0.9

/** @param memoryBytes Of the machine, or what its container may have. */
export async function openDisk(config: Config, meter: Meter, mtimeSeconds: number, memoryBytes: number): Promise<Disk> {
  const { CACHE_DIR: cacheDir, CACHE_MIN_FREE_BYTES: minFreeBytes, CACHE_MAX_IDLE_DAYS: maxIdleDays } = config
  const maxBytes = Math.floor(
    (config.CACHE_MAX_BYTES ?? (await atStart(cachePlace(cacheDir), tenthOfDisk(cacheDir)))) * SWEEP_AT,
  )
  const settings = { maxIdleDays, maxBytes, ...(minFreeBytes !== undefined && { minFreeBytes }) }
  const sweeper = createCacheSweeper({ cacheDir, settings })
  const keeper = createCacheKeeper({
    sweep: {
      async sweep() {
        // Somebody may have deleted the whole folder.
        await prepareCacheDir(cacheDir)
        return await sweeper.sweep().catch(unlessLocked)
      },
      stop: () => sweeper.stop(),
    },
    meter,
    // A clock that is set back must not put off the next sweep.
    now: () => performance.now(),
    everyMs: config.CACHE_SWEEP_SECONDS * 1000,
    maxBytes,
  })
  const onTrouble = (error: unknown) => keeper.refused(error)
  const onWrite = (bytes: number) => keeper.wrote(bytes)
  const memoryCacheBytes = memoryCacheOf(config, memoryBytes)
  return {
    cache: createDiskCache({ cacheDir, mtimeSeconds, onTrouble, onWrite }),
    spool: createDiskSpool({ cacheDir, maxMemoryBytes: memoryCacheBytes, onTrouble }),
    keeper,
    memoryCacheBytes,
  }
}

export function memoryCacheOf(config: Config, memoryBytes: number): number {
  return config.MEMORY_CACHE_BYTES ?? defaultMemoryCache(memoryBytes)
}

/** What the services stand on. */
export interface Outside {
  readonly store: ObjectStore
  readonly disk: Disk
  readonly renderers: RendererPool
  readonly meter: Meter
  readonly elsewhere: Elsewhere
}

export function createServices(config: Config, outside: Outside) {
  const { store, renderers: engine, meter, elsewhere } = outside
  const { cache, spool, memoryCacheBytes } = outside.disk
  const maxWaitMs = config.RENDER_WAIT_MAX_SECONDS * 1000
  // A render that began later could not end within the time of its request.
  const maxAgeMs = (config.REQUEST_TIMEOUT_SECONDS - config.RENDER_TIMEOUT_SECONDS) * 1000
  const renderQueue = createWorkQueue({
    name: 'a renderer',
    concurrency: config.RENDER_CONCURRENCY,
    maxWaiting: config.RENDER_QUEUE_MAX,
    maxWaitMs,
    maxAgeMs,
    maxHeldBytes: Math.floor(memoryCacheBytes / 2),
    onTurn: meter.waited,
  })
  const fetchQueue = createWorkQueue({
    name: 'the object store',
    concurrency: config.FETCH_CONCURRENCY,
    maxWaiting: config.FETCH_QUEUE_MAX,
    maxWaitMs,
    maxAgeMs,
  })
  const onForget = (ids: ReadonlySet<string>) => {
    objects.forget(ids)
    remotes.forget(ids)
    originals.forget(ids)
    mezzanines.forget(ids)
    infos.forget(ids)
    renditions.forget(ids)
  }
  const now = () => Date.now()
  const watch = createInvalidationWatch({ store, cache, meter, now, onForget })
  const uploads = createUploadedOriginals(store)
  const maxRemembered = config.MEMORY_CACHE_ENTRIES
  const objects = createObjectVersions({ buckets: elsewhere.buckets, cache, watch, now, maxRemembered })
  const remotes = createRemoteVersions({
    source: elsewhere.remotes,
    hosts: elsewhere.remoteHosts,
    shelf: createRemoteShelf({ store, meter, now }),
    newRemotes: createNewRemotes({ ...newRemoteLimits(config), now: () => performance.now() }),
    cache,
    spool,
    engine,
    watch,
    now,
    maxRemembered,
    maxOriginalBytes: config.MAX_UPLOAD_BYTES,
    staleIfErrorSeconds: config.REMOTE_STALE_IF_ERROR_SECONDS,
    ...(config.REMOTE_KEEP_RENDITIONS && { keptRenditions: String(cache.mtimeSeconds) }),
    maxHeldBytes: Math.floor(memoryCacheBytes / 2),
  })
  const holderOf = createHolders({ uploads, objects, remotes })
  const shared = { store, holderOf, cache, spool, engine, watch, meter, now, maxRemembered }
  const originals = createOriginalService({
    ...shared,
    fetchQueue,
    maxOriginalBytes: config.MAX_UPLOAD_BYTES,
    fetchTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000,
    // The other half is for those on their way in.
    maxLooseBytes: Math.floor(memoryCacheBytes / 2),
  })
  const mezzanines = createMezzanineService({
    ...shared,
    originals,
    fetchQueue,
    renderQueue,
    minPixels: config.MEZZANINE_MIN_PIXELS,
    fetchTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000,
  })
  const infos = createInfoService({ ...shared, originals, renderQueue })
  const renditions = createRenditionService({
    ...shared,
    mezzanines,
    originals,
    shelf: remotes.renditions,
    sources: createSourceService({ originals, mezzanines, maxSide: config.MAX_SIDE }),
    batcher: createRenderBatcher({ ...shared, renderQueue, maxWaiting: config.RENDER_QUEUE_MAX }),
    renderQueue,
    maxSide: config.MAX_SIDE,
    memoryBytes: memoryCacheBytes,
    keepBytes: config.ACCEL_PREFIX === '',
  })
  const versions = createVersionService({ objects, remotes, watch })
  const primes = createPrimeService({ renditions, mezzanines, meter })
  return {
    watch,
    objects,
    remotes,
    versions,
    originals,
    mezzanines,
    infos,
    renditions,
    primes,
    events: createEventService({ ...shared, buckets: elsewhere.told, versions, primes }),
    renderQueue,
    fetchQueue,
    ingest: createIngestService({
      ...shared,
      originals,
      mezzanines,
      infos,
      renderQueue,
      maxUploadBytes: config.MAX_UPLOAD_BYTES,
    }),
    records: createRecordService(store),
    deletions: createDeletionService(shared),
    aliases: createAliasService(store, maxRemembered),
  }
}

/** @param options.readOnly The node serves only: a folder that can only be read is in order. */
export async function createStore(config: Config, { readOnly = false } = {}): Promise<ObjectStore> {
  const { STORE, S3_ENDPOINT, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config
  if (STORE.startsWith('file:')) {
    const folder = STORE.slice('file:'.length)
    const place = storePlace(folder)
    await atStart(place, prepareFileStore(folder))
    if (readOnly) return createFileStore(folder, { readOnly })
    await atStart(place, removeOrphans(folder, Date.now()))
    const reserve = createFileStoreReserve(folder)
    await atStart(place, reserve.refill())
    return createFileStore(folder, { reserve })
  }
  const sessionToken = config.AWS_SESSION_TOKEN
  return createS3Store({
    bucket: STORE.slice('s3://'.length),
    ...(S3_ENDPOINT !== '' && { endpoint: S3_ENDPOINT }),
    region: config.S3_REGION,
    forcePathStyle: config.S3_FORCE_PATH_STYLE,
    ...(accessKeyId !== '' && {
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== '' && { sessionToken }) },
    }),
    limits: { totalTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000 },
  })
}

export function dialectSettings(config: Config): DialectSettings {
  const length = config.THUMBOR_SIGNATURE_LENGTH
  return {
    mounts: config.DIALECTS.map(parseDialectMount),
    thumbor: { keys: config.THUMBOR_KEYS, hash: config.THUMBOR_HASH, ...(length !== undefined && { length }) },
    imgproxy: {
      keys: config.IMGPROXY_KEYS.map((pair) => pair.split(':')).map(([key = '', salt = '']) => ({ key, salt })),
      sizeBytes: config.IMGPROXY_SIGNATURE_BYTES,
    },
    bases: { thumbor: config.THUMBOR_BASE, imgproxy: config.IMGPROXY_BASE, ipx: config.IPX_BASE },
    formatless: config.DIALECT_FORMAT,
  }
}

export function sizePolicy({ SIZE_POLICY, SIZES, SIZES_FALLBACK, URL_KEYS }: Config): SizePolicy {
  if (SIZE_POLICY === 'list') return { kind: 'list', sizes: SIZES, fallback: SIZES_FALLBACK }
  return SIZE_POLICY === 'signed' ? { kind: 'signed', keys: URL_KEYS } : { kind: 'open' }
}

/** How many new remote images are added in a minute, in all and for one client. */
function newRemoteLimits({ REMOTE_NEW_PER_MINUTE: perMinute, REMOTE_NEW_PER_CLIENT: perClient }: Config) {
  return { perMinute, perClient: perClient ?? Math.ceil(perMinute / 4) }
}

const LOOPBACK = ['127.0.0.0/8', '::1'] as const

/** Whose word on the client is taken: with `ACCEL_PREFIX` the nginx on this machine writes over whatever a client says. */
export function trustedProxies({ ACCEL_PREFIX, TRUSTED_PROXIES }: Config): readonly AddressBlock[] {
  return [...(ACCEL_PREFIX === '' ? [] : LOOPBACK), ...TRUSTED_PROXIES].map(parseAddressBlock)
}

async function tenthOfDisk(folder: string): Promise<number> {
  const { blocks, bsize } = await statfs(folder)
  return Math.floor((blocks * bsize) / 10)
}
