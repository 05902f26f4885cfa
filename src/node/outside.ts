import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { NotACacheError, prepareCacheDir } from '../adapters/cache/cache-folder.ts'
import { createDiskCache } from '../adapters/cache/disk-cache.ts'
import { createDiskSpool } from '../adapters/cache/disk-spool.ts'
import { createFileStore, prepareFileStore, removeOrphans } from '../adapters/file-store/file-store.ts'
import { createFileStoreReserve } from '../adapters/file-store/file-store-reserve.ts'
import { createRendererPool, type RendererPool } from '../adapters/renderer/renderer-pool.ts'
import type { S3Lifecycle } from '../adapters/s3/s3-lifecycle.ts'
import { createCacheSweeper } from '../adapters/sweep/cache-sweep.ts'
import { SweepRefused } from '../adapters/sweep/cache-sweep-folder.ts'
import type { S3StoreSettings } from '../adapters/s3/s3-store.ts'
import type { BucketSettings } from '../config/buckets-file.ts'
import { type Config, ConfigError } from '../config/env.ts'
import { sizePolicy } from '../config/size-policy.ts'
import { primedSpecs } from '../domain/access/size-policy.ts'
import type { RemoteHost } from '../domain/network/remote-hosts.ts'
import { defaultRenderMemory } from '../domain/picture/render-memory.ts'
import { CACHE_FOLDERS, defaultMemoryCache } from '../domain/stored/cache-layout.ts'
import { SWEEP_AT } from '../domain/sweep/sweep-plan.ts'
import type { ToldBucket } from '../service/library/event-service.ts'
import { type CacheKeeper, createCacheKeeper } from '../service/load/cache-keeper.ts'
import type { ServedBucket } from '../service/originals/buckets.ts'
import type { ImageCache, Spool } from '../service/ports/cache.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { RemoteSource } from '../service/ports/remote.ts'
import type { ObjectStore } from '../service/ports/store.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { atStart, type PlaceSetting } from './start-trouble.ts'

export function createMeter(log: Log, metrics: Metrics): Meter {
  const { renderSeconds, fetchSeconds, queueWaitSeconds } = metrics
  return {
    rendered: renderSeconds.observe.bind(renderSeconds),
    fetched: fetchSeconds.observe.bind(fetchSeconds),
    waited: queueWaitSeconds.observe.bind(queueWaitSeconds),
    trouble: (message, cause) => log.warn({ err: cause }, message),
  }
}

/** @param memoryBytes Of the machine, or what its container may have. */
export function createRenderers(config: Config, meter: Meter, memoryBytes: number): RendererPool {
  const engine = {
    inputFormats: config.INPUT_FORMATS,
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

/** To be called before any other use of the cache folder. @throws ConfigError if it contains other files. */
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

/** Another node or cron is sweeping the same cache. */
function unlessLocked(error: unknown): undefined {
  if (error instanceof SweepRefused && error.reason === 'locked') return undefined
  throw error
}

/** The cache on the local disk, and its keeper. */
export interface Disk {
  readonly cache: ImageCache
  readonly spool: Spool
  readonly keeper: CacheKeeper
  /** Budget of the in-memory cache, which is the fallback while the disk is not writable. */
  readonly memoryCacheBytes: number
}

/** @param memoryBytes Of the machine, or what its container may have. */
export async function openDisk(config: Config, meter: Meter, mtimeSeconds: number, memoryBytes: number): Promise<Disk> {
  const { CACHE_DIR: cacheDir, CACHE_MIN_FREE_BYTES: minFreeBytes, CACHE_MAX_IDLE_DAYS: maxIdleDays } = config
  const maxBytes = Math.floor(
    (config.CACHE_MAX_BYTES ?? (await atStart(cachePlace(cacheDir), tenthOfDisk(cacheDir)))) * SWEEP_AT,
  )
  const settings = { maxIdleDays, maxBytes, ...(minFreeBytes !== undefined && { minFreeBytes }) }
  const sweeper = createCacheSweeper({ cacheDir, settings, codeFolder: join(cacheDir, CACHE_FOLDERS.code) })
  const keeper = createCacheKeeper({
    sweep: {
      async sweep() {
        // The whole folder may have been deleted.
        await prepareCacheDir(cacheDir)
        return await sweeper.sweep().catch(unlessLocked)
      },
      stop: () => sweeper.stop(),
    },
    meter,
    // A clock that is set back must not delay the next sweep.
    now: () => performance.now(),
    everyMs: config.CACHE_SWEEP_SECONDS * 1000,
    maxBytes,
  })
  const memoryCacheBytes = memoryCacheOf(config, memoryBytes)
  return {
    cache: createDiskCache({ cacheDir, mtimeSeconds, onTrouble: keeper.refused, onWrite: keeper.wrote }),
    spool: createDiskSpool({ cacheDir, maxMemoryBytes: memoryCacheBytes, onTrouble: keeper.refused }),
    keeper,
    memoryCacheBytes,
  }
}

export function memoryCacheOf(config: Config, memoryBytes: number): number {
  return config.MEMORY_CACHE_BYTES ?? defaultMemoryCache(memoryBytes)
}

/** @param options.readOnly The node is read-only: a read-only folder is accepted. */
export async function createStore(config: Config, { readOnly = false } = {}): Promise<ObjectStore> {
  const { STORE } = config
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
  // Imported only if used: loading the client takes a tenth of a second, and memory.
  const { createS3Store } = await import('../adapters/s3/s3-store.ts')
  return createS3Store(s3Settings(config))
}

/** @param config STORE is a bucket. */
export function s3Settings(config: Config): S3StoreSettings {
  const { STORE, S3_ENDPOINT, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config
  const sessionToken = config.AWS_SESSION_TOKEN
  return {
    bucket: STORE.slice('s3://'.length),
    ...(S3_ENDPOINT !== '' && { endpoint: S3_ENDPOINT }),
    region: config.S3_REGION,
    forcePathStyle: config.S3_FORCE_PATH_STYLE,
    ...(accessKeyId !== '' && {
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== '' && { sessionToken }) },
    }),
    limits: { totalTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000 },
  }
}

/** The lifecycle rules of the bucket of `STORE`. @returns undefined for a folder. */
export async function openStoreLifecycle(config: Config): Promise<S3Lifecycle | undefined> {
  if (config.STORE.startsWith('file:')) return undefined
  const { createS3Lifecycle } = await import('../adapters/s3/s3-lifecycle.ts')
  return createS3Lifecycle(s3Settings(config))
}

/** Whether nodes share renditions through the store. */
export function sharesRenditions({ SHARE_RENDITIONS: wish, STORE }: Config): boolean {
  return wish === 'on' || (wish === 'auto' && STORE.startsWith('s3:'))
}

async function tenthOfDisk(folder: string): Promise<number> {
  const { blocks, bsize } = await statfs(folder)
  return Math.floor((blocks * bsize) / 10)
}

/** Sources of originals other than uploads. */
export interface Elsewhere {
  /** By their aliases. */
  readonly buckets: ReadonlyMap<string, ServedBucket>
  readonly remotes: RemoteSource
  /** Hosts that may serve remote images. */
  readonly remoteHosts: readonly RemoteHost[]
  /** Buckets that may send notifications. */
  readonly told: readonly ToldBucket[]
  /** Closes idle connections. No call may be in progress. */
  close(): Promise<void>
}

/** Imports the clients of buckets and hosts only if the settings name some: loading both takes a quarter of a second. */
export async function createElsewhere(config: Config, bucketSettings: readonly BucketSettings[]): Promise<Elsewhere> {
  const buckets = await openBuckets(config, bucketSettings)
  const remoteHosts = config.REMOTE_HOSTS
  const remotes = remoteHosts.length === 0 ? NO_REMOTES : await openRemotes(config)
  return {
    buckets,
    remotes,
    remoteHosts,
    told: bucketSettings.map(({ alias, bucket, keyPrefix, primeSizes }) => ({
      alias,
      bucket,
      keyPrefix,
      primeSizes: primedSpecs(primeSizes, sizePolicy(config)),
    })),
    async close() {
      for (const { bucket } of buckets.values()) bucket.close()
      await remotes.close()
    },
  }
}

const NO_REMOTES: RemoteSource = {
  fetch: () => Promise.reject(new Error('No request reaches a host that REMOTE_HOSTS does not name')),
  close: async () => {},
}

async function openRemotes(config: Config): Promise<RemoteSource> {
  const { createRemoteSource } = await import('../adapters/hosts/remote-source.ts')
  return createRemoteSource({
    hosts: config.REMOTE_HOSTS,
    allowedAddresses: config.REMOTE_ALLOW_ADDRESSES,
    dnsServers: config.REMOTE_DNS,
    formats: config.INPUT_FORMATS,
    maxBytes: config.MAX_UPLOAD_BYTES,
    defaultFreshSeconds: config.REMOTE_DEFAULT_FRESH_SECONDS,
    limits: { totalTimeoutMs: config.REMOTE_TIMEOUT_SECONDS * 1000 },
  })
}

async function openBuckets(config: Config, all: readonly BucketSettings[]): Promise<ReadonlyMap<string, ServedBucket>> {
  if (all.length === 0) return new Map()
  const { createS3Bucket } = await import('../adapters/s3/s3-reader.ts')
  const open = (settings: BucketSettings): ServedBucket => {
    const { bucket, endpoint, region, pathStyle, credentials, keyPrefix } = settings
    const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = settings
    return {
      bucket: createS3Bucket({
        bucket,
        ...(endpoint !== undefined && { endpoint }),
        region,
        forcePathStyle: pathStyle,
        ...(credentials !== undefined && { credentials }),
        keyPrefix,
        limits: { totalTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000 },
      }),
      keyPrefix,
      freshness: { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds },
    }
  }
  return new Map(all.map((settings) => [settings.alias, open(settings)]))
}
