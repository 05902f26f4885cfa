import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { probeAccessTimes } from './adapters/atime-probe.ts'
import { createCacheSweeper } from './adapters/cache-sweep.ts'
import { createDiskCache, NotACacheError, prepareCacheDir } from './adapters/disk-cache.ts'
import { createDiskSpool } from './adapters/disk-spool.ts'
import { createFileStore, removeOrphans } from './adapters/file-store.ts'
import { createS3Store } from './adapters/s3-store.ts'
import { createSharpEngine, pipelineMtimeSeconds } from './adapters/sharp-engine.ts'
import { type Config, ConfigError } from './config.ts'
import { isInputFormat } from './domain/image-format.ts'
import type { SizePolicy } from './domain/size-policy.ts'
import { ServiceError } from './errors.ts'
import { createApp } from './http/app.ts'
import type { Readiness } from './http/health-handler.ts'
import { close, createHttpServer, listen } from './http/server.ts'
import { type CacheKeeper, createCacheKeeper } from './service/cache-keeper.ts'
import { createDeletionService } from './service/deletion-service.ts'
import { createIngestService } from './service/ingest-service.ts'
import { createInvalidationWatch, type InvalidationWatch } from './service/invalidation-watch.ts'
import { createOriginalService } from './service/original-service.ts'
import type { ImageCache, Meter, ObjectStore, Spool } from './service/ports.ts'
import { createRecordService } from './service/record-service.ts'
import { createRenditionService } from './service/rendition-service.ts'
import { createWorkQueue } from './service/work-queue.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'

/** A running node. */
export interface Node {
  /** Where it listens. */
  readonly url: string
  /**
   * Says "not ready", goes on listening for the time of draining, then ends what is under way, in order. Resolves when
   * nothing of the node is left.
   */
  stop(): Promise<void>
}

/** With the second for which nginx may keep a file open, a deletion is everywhere within two. */
const POLL_MS = 750
/** What was deleted while this node was away is heard of before it listens; but a store that is down keeps it no longer. */
const FIRST_LOOK_MS = 2000
const TRIM_MS = 3_600_000
const CHECK_TIMEOUT_MS = 5000

/** Makes a node of its parts and starts it. @throws what makes it impossible to run at all, such as a taken port. */
export async function startNode(config: Config): Promise<Node> {
  const { log, flush } = createLog(config.LOG_LEVEL)
  const metrics = createMetrics()
  const meter = createMeter(log, metrics)
  const disk = await openDisk(config, meter)
  log.info(ATIME_MESSAGES[await probeAccessTimes(config.CACHE_DIR)])
  const store = await createStore(config)
  const services = createServices(config, { store, disk, meter })
  metrics.observe({ ...services, cacheBytes: () => disk.keeper.usedBytes })

  let draining = false
  const readiness: Readiness = {
    async reasons() {
      if (draining) return ['This node is about to stop']
      const late = services.watch.caughtUp ? [] : ['Deletions made while this node was away are not known yet']
      return [...(await storeTrouble(store)), ...late]
    },
    degraded: () => (disk.keeper.degraded ? ['The disk of the cache takes nothing: pictures are served uncached'] : []),
  }
  const policy = sizePolicy(config)
  const app = createApp(log, {
    images: {
      ...services,
      metrics,
      policy,
      access: { tokens: config.UPLOAD_TOKENS },
      publicUrl: config.PUBLIC_URL,
      maxUploadBytes: config.MAX_UPLOAD_BYTES,
    },
    renditions: { service: services.renditions, cache: disk.cache, policy, accelPrefix: config.ACCEL_PREFIX, now },
    metrics,
    readiness,
    homePage: readFileSync(new URL('./http/home-page.html', import.meta.url), 'utf8'),
    requestTimeoutMs: config.REQUEST_TIMEOUT_SECONDS * 1000,
  })

  const background = await startBackground(services.watch, meter)
  disk.keeper.start()
  const server = createHttpServer(app)
  const end = async () => {
    await Promise.all([background.stop(), disk.keeper.stop()])
    store.close()
    // The access log has its lines of this turn of the event loop in the next.
    await nextTurn()
    log.info('stopped')
    flush()
  }
  const url = await listen(server, config.PORT, config.HOST).catch(async (error: unknown) => {
    await end()
    throw error
  })
  log.info({ url, store: config.STORE.replace(/:.*/, '') }, 'listening')

  return {
    url,
    async stop() {
      draining = true
      log.info('draining')
      await delay(config.DRAIN_SECONDS * 1000)
      await close(server)
      await end()
    },
  }
}

const now = () => Date.now()

function createMeter(log: Log, metrics: Metrics): Meter {
  return {
    rendered: (seconds) => metrics.renderSeconds.observe(seconds),
    fetched: (seconds) => metrics.fetchSeconds.observe(seconds),
    waited: (seconds) => metrics.queueWaitSeconds.observe(seconds),
    trouble: (message, cause) => log.warn({ err: cause }, message),
  }
}

/** What this node keeps on its own disk, and what keeps that within bounds. */
interface Disk {
  readonly cache: ImageCache
  readonly spool: Spool
  readonly keeper: CacheKeeper
}

async function openDisk(config: Config, meter: Meter): Promise<Disk> {
  const { CACHE_DIR: cacheDir, CACHE_MIN_FREE_BYTES: minFreeBytes, CACHE_MAX_IDLE_DAYS: maxIdleDays } = config
  await prepareCacheDir(cacheDir).catch((error: unknown) => {
    throw error instanceof NotACacheError ? new ConfigError(`CACHE_DIR: ${error.message}`) : error
  })
  const maxBytes = config.CACHE_MAX_BYTES ?? (await tenthOfDisk(cacheDir))
  const settings = { maxIdleDays, maxBytes, ...(minFreeBytes !== undefined && { minFreeBytes }) }
  const sweeper = createCacheSweeper({ cacheDir, settings })
  const keeper = createCacheKeeper({
    sweep: {
      async sweep() {
        // Somebody may have deleted the whole folder.
        await prepareCacheDir(cacheDir)
        return await sweeper.sweep()
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
  return {
    cache: createDiskCache({ cacheDir, mtimeSeconds: pipelineMtimeSeconds(), onTrouble, onWrite }),
    spool: createDiskSpool({ cacheDir, maxMemoryBytes: config.MEMORY_CACHE_BYTES, onTrouble }),
    keeper,
  }
}

interface Outside {
  readonly store: ObjectStore
  readonly disk: Disk
  readonly meter: Meter
}

function createServices(config: Config, { store, disk: { cache, spool }, meter }: Outside) {
  const engine = createSharpEngine({
    inputFormats: config.INPUT_FORMATS.filter(isInputFormat),
    maxPixels: config.MAX_PIXELS,
    maxFrames: config.MAX_FRAMES,
    timeoutSeconds: config.RENDER_TIMEOUT_SECONDS,
  })
  const renderQueue = createWorkQueue({
    name: 'a renderer',
    concurrency: config.RENDER_CONCURRENCY,
    maxWaiting: config.RENDER_QUEUE_MAX,
    onTurn: meter.waited,
  })
  const fetchQueue = createWorkQueue({
    name: 'the object store',
    concurrency: config.FETCH_CONCURRENCY,
    maxWaiting: config.FETCH_QUEUE_MAX,
  })
  const onForget = (ids: ReadonlySet<string>) => {
    originals.forget(ids)
    renditions.forget(ids)
  }
  const watch = createInvalidationWatch({ store, cache, meter, now, onForget })
  const shared = { store, cache, spool, engine, watch, meter, now }
  const originals = createOriginalService({
    ...shared,
    fetchQueue,
    maxOriginalBytes: config.MAX_UPLOAD_BYTES,
    fetchTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000,
    // The other half is for those on their way in.
    maxLooseBytes: Math.floor(config.MEMORY_CACHE_BYTES / 2),
  })
  const renditions = createRenditionService({
    ...shared,
    originals,
    renderQueue,
    maxSide: config.MAX_SIDE,
    memoryBytes: config.MEMORY_CACHE_BYTES,
    keepBytes: config.ACCEL_PREFIX === '',
  })
  return {
    watch,
    originals,
    renditions,
    renderQueue,
    fetchQueue,
    ingest: createIngestService({ ...shared, originals, renderQueue, maxUploadBytes: config.MAX_UPLOAD_BYTES }),
    records: createRecordService(store),
    deletions: createDeletionService(shared),
  }
}

/** Looks for deletions from now on, and now and then removes what every node has heard of. */
async function startBackground(watch: InvalidationWatch, meter: Meter): Promise<{ stop(): Promise<unknown> }> {
  const stopping = new AbortController()
  const { signal } = stopping
  const trim = () =>
    watch.trim(signal).catch((error: unknown) => {
      if (!signal.aborted) meter.trouble('Old invalidations could not be removed', error)
    })
  const firstLook = watch.poll(signal)
  await Promise.race([firstLook, delay(FIRST_LOOK_MS)])
  const loops = [firstLook.then(() => every(POLL_MS, signal, () => watch.poll(signal))), every(TRIM_MS, signal, trim)]
  return {
    stop() {
      stopping.abort()
      return Promise.all(loops)
    },
  }
}

const ATIME_MESSAGES = {
  kernel: 'The cache is on a mount that keeps access times: files expire when nobody has asked for them',
  manual:
    'The cache is on a mount that keeps no access times (noatime): files that nginx sends by itself expire by the time ' +
    'since they were made, and are then made again',
} as const

async function createStore(config: Config): Promise<ObjectStore> {
  const { STORE, S3_ENDPOINT, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config
  if (STORE.startsWith('file:')) {
    const folder = STORE.slice('file:'.length)
    const fileStore = createFileStore(folder)
    await removeOrphans(folder, Date.now())
    return fileStore
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

function sizePolicy({ SIZE_POLICY, SIZES, SIZES_FALLBACK, URL_KEYS }: Config): SizePolicy {
  if (SIZE_POLICY === 'list') return { kind: 'list', sizes: SIZES, fallback: SIZES_FALLBACK }
  return SIZE_POLICY === 'signed' ? { kind: 'signed', keys: URL_KEYS } : { kind: 'open' }
}

async function tenthOfDisk(folder: string): Promise<number> {
  const { blocks, bsize } = await statfs(folder)
  return Math.floor((blocks * bsize) / 10)
}

async function storeTrouble(store: ObjectStore): Promise<string[]> {
  try {
    await store.check(AbortSignal.timeout(CHECK_TIMEOUT_MS))
    return []
  } catch (error) {
    return [error instanceof ServiceError ? error.message : 'The object store does not answer']
  }
}

/** Repeats a task, with a pause after each end, until `signal` aborts. Begins at once. */
async function every(pauseMs: number, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await task()
    await delay(pauseMs, signal)
  }
}

function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, signal?.aborted ? 0 : ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}
