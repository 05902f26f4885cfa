import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { probeAccessTimes } from '../adapters/cache/atime-probe.ts'
import { createFlagFolder } from '../adapters/cache/flag-folder.ts'
import { type FolderAccess, folderAccess } from '../adapters/cache/folder-access.ts'
import { yieldToOtherSessions } from '../adapters/renderer/session-priority.ts'
import type { BucketSettings } from '../config/buckets-file.ts'
import type { Config } from '../config/env.ts'
import { startGreeting } from '../domain/access/start-greeting.ts'
import { parseSpecOrReticulumSize } from '../domain/dialect/reticulum-size.ts'
import { parseSpec } from '../domain/spec/spec.ts'
import { CACHE_FOLDERS, OVERLOAD_FLAGS } from '../domain/stored/cache-layout.ts'
import { ServiceError } from '../errors.ts'
import type { Readiness } from '../http/api/health-handler.ts'
import { createApp } from '../http/app.ts'
import { createAccessReport } from '../http/connection/access-log.ts'
import { close, createHttpServer, listen } from '../http/connection/server.ts'
import { createShed } from '../http/connection/shed.ts'
import { pictureHandlers } from '../http/pictures/picture-handlers.ts'
import { createAskedBy, createClientOf, createViewerOf } from '../http/request/client-of.ts'
import { createNginxFront } from '../http/request/nginx-front.ts'
import type { InvalidationWatch } from '../service/deletion/invalidation-watch.ts'
import { type AccessWatch, createAccessWatch } from '../service/load/access-watch.ts'
import { createDegradation } from '../service/load/degradation.ts'
import type { Meter, ObjectStore } from '../service/ports/ports.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createElsewhere } from './elsewhere.ts'
import {
  cachePlace,
  createMeter,
  createRenderers,
  createServices,
  createStore,
  dialectSettings,
  openDisk,
  prepareDisk,
  sizePolicy,
  trustedProxies,
} from './services.ts'
import { atStart, listenTrouble } from './start-trouble.ts'
import { findAccess, type NodeAccess } from './write-access.ts'

/** A running node. */
export interface Node {
  /** Where it listens. */
  readonly url: string
  /**
   * How to upload with the generated token; empty if the tokens come from the settings, or there are none.
   *
   * @param toTerminal The text is not kept in a log. Else it has the token only if this start has generated it.
   */
  greeting(toTerminal: boolean): string
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
const ACCESS_MS = 30_000
const TRIM_MS = 3_600_000
const CHECK_TIMEOUT_MS = 5000

/**
 * Makes a node of its parts and starts it.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 * @throws what makes it impossible to run at all, such as a taken port.
 */
export async function startNode(
  config: Config,
  bucketSettings: readonly BucketSettings[],
  memoryBytes: number,
): Promise<Node> {
  const { log, flush } = createLog(config.LOG_LEVEL)
  const metrics = createMetrics()
  const meter = createMeter(log, metrics)
  await prepareDisk(config)
  const writeAccess = await findAccess(config, log)
  const renderers = createRenderers(config, meter, memoryBytes)
  const { pipelineMtimeSeconds } = await renderers.ready()
  const disk = await openDisk(config, meter, pipelineMtimeSeconds, memoryBytes)
  log.info(ATIME_MESSAGES[await atStart(cachePlace(config.CACHE_DIR), probeAccessTimes(config.CACHE_DIR))])
  const store = await createStore(config, { readOnly: writeAccess.tokens.length === 0 })
  const elsewhere = createElsewhere(config, bucketSettings)
  const services = createServices(config, { store, disk, renderers, meter, elsewhere })
  metrics.observe({ ...services, renderers, cacheBytes: () => disk.keeper.usedBytes })

  const now = () => performance.now()
  const degradation = createDegradation(meter, now)
  const access = config.ACCEL_PREFIX === '' ? '' : await cacheAccess(config, log)
  let draining = false
  const readiness: Readiness = {
    async reasons() {
      if (draining) return ['This node is shutting down']
      const late = services.watch.caughtUp ? [] : ['Deletions made while this node was away are not known yet']
      return [...(await storeTrouble(store)), ...late]
    },
    notes: () => writeAccess.notes,
    degraded: () => [
      ...(disk.keeper.degraded ? ['The disk of the cache takes nothing: pictures are served uncached'] : []),
      ...degradation.reasons,
    ],
  }
  const policy = sizePolicy(config)
  const requestTimeoutMs = config.REQUEST_TIMEOUT_SECONDS * 1000
  const shared = {
    policy,
    access: writeAccess,
    readSpec: config.RETICULUM_SIZES ? parseSpecOrReticulumSize : parseSpec,
    publicUrl: config.PUBLIC_URL,
  }
  const report = createAccessReport(log, metrics)
  const clientOf = createClientOf(trustedProxies(config))
  const app = createApp(log, report, {
    images: {
      ...services,
      ...shared,
      metrics,
      primeSizes: config.PRIME_SIZES.map(parseSpec),
      maxUploadBytes: config.MAX_UPLOAD_BYTES,
    },
    infos: { ...services, ...shared, showGps: config.SHOW_GPS },
    events: { tokens: config.EVENT_TOKENS, onEvents: services.events.tell },
    pictures: pictureHandlers({
      ...services,
      ...shared,
      service: services.renditions,
      cache: disk.cache,
      askedBy: createAskedBy(clientOf),
      viewerOf: createViewerOf(clientOf),
      front: createNginxFront({ accelPrefix: config.ACCEL_PREFIX, degradation, now, access }),
      showGps: config.SHOW_GPS,
      now: () => Date.now(),
      requestTimeoutMs,
      dialects: dialectSettings(config),
      errorPicture: readFileSync(new URL('../http/answer/error-picture.png', import.meta.url)),
    }),
    metrics,
    readiness,
    clientOf,
    homePage: readFileSync(new URL('../http/api/home-page.html', import.meta.url), 'utf8'),
    requestTimeoutMs,
  })

  const accessWatch = createAccessWatch({
    buckets: elsewhere.buckets,
    ...(writeAccess.tokens.length > 0 && { uploadStore: store }),
    degradation,
    now,
  })
  const background = await startBackground({ ...services, accessWatch, meter })
  disk.keeper.start()
  const flags = createFlagFolder({
    folder: join(config.CACHE_DIR, OVERLOAD_FLAGS),
    onStuck: (error) => meter.trouble('nginx refuses new pictures: a flag of overload cannot be removed', error),
  })
  const shed = createShed({
    refusal: (network) => services.renderQueue.refusal('viewer', network),
    takeSeat: (network) => services.renderQueue.takeSeat('viewer', network),
    diskFails: () => disk.keeper.degraded,
    report,
    clientOf,
    flags,
  })
  // The headers that it goes by are nginx's; without nginx they could be anybody's.
  const server = config.ACCEL_PREFIX === '' ? createHttpServer(app) : createHttpServer(app, shed)
  const end = async () => {
    const { events, primes, mezzanines, infos, objects, remotes } = services
    const working = [background, disk.keeper, flags, events, primes, mezzanines, infos, objects, remotes]
    await Promise.all(working.map((part) => part.stop()))
    await renderers.stop()
    store.close()
    await elsewhere.close()
    // The access log has its lines of this turn of the event loop in the next.
    await nextTurn()
    log.info('stopped')
    flush()
  }
  if (config.ACCEL_PREFIX !== '') yieldToOtherSessions()
  const url = await listen(server, config.PORT, config.HOST).catch(async (error: unknown) => {
    await end()
    throw listenTrouble(error, config)
  })
  log.info({ url, store: config.STORE.replace(/:.*/, '') }, 'listening')

  return {
    url,
    greeting: (toTerminal) => greet(url, writeAccess, toTerminal),
    async stop() {
      draining = true
      log.info('draining')
      await delay(config.DRAIN_SECONDS * 1000)
      await close(server)
      await end()
    },
  }
}

function greet(url: string, { generated }: NodeAccess, toTerminal: boolean): string {
  if (generated === undefined) return ''
  const { token, path: tokenPath, isNew } = generated
  return startGreeting({ url, tokenPath, ...((toTerminal || isNew) && { token }) })
}

interface Watches {
  readonly watch: InvalidationWatch
  readonly accessWatch: AccessWatch
  readonly meter: Meter
}

/** Looks for deletions and at our rights from now on, and now and then removes what every node has heard of. */
async function startBackground({ watch, accessWatch, meter }: Watches): Promise<{ stop(): Promise<unknown> }> {
  const stopping = new AbortController()
  const { signal } = stopping
  const trim = () =>
    watch.trim(signal).catch((error: unknown) => {
      if (!signal.aborted) meter.trouble('Old invalidations could not be removed', error)
    })
  const firstLook = watch.poll(signal)
  await Promise.race([firstLook, delay(FIRST_LOOK_MS)])
  const lookAtAccess = () =>
    accessWatch.look(signal).catch((error: unknown) => {
      if (!signal.aborted) meter.trouble('The rights of this node could not be looked at', error)
    })
  const loops = [
    firstLook.then(() => every(POLL_MS, signal, () => watch.poll(signal))),
    every(TRIM_MS, signal, trim),
    every(ACCESS_MS, signal, lookAtAccess),
  ]
  return {
    stop() {
      stopping.abort()
      return Promise.all(loops)
    },
  }
}

/** @returns who may enter the folders that nginx has to, for the log. */
async function cacheAccess({ CACHE_DIR }: Config, log: Log): Promise<string> {
  const folders = await folderAccess(join(CACHE_DIR, CACHE_FOLDERS.renditions))
  const describe = ({ path, mode, uid, gid }: FolderAccess) => `${path} (mode ${mode}, uid ${uid}, gid ${gid})`
  const closed = folders.filter(({ isOwnersAlone }) => isOwnersAlone).map(describe)
  if (closed.length > 0) {
    log.warn(
      { folders: closed },
      'Only their owner may enter these folders: nginx reads the cache if its workers run as that user',
    )
  }
  return folders.map(describe).join(', ')
}

const ATIME_MESSAGES = {
  kernel: 'The cache is on a mount that keeps access times: files expire when nobody has asked for them',
  manual:
    'The cache is on a mount that keeps no access times (noatime): files that nginx sends by itself expire by the time ' +
    'since they were made, and are then made again',
} as const

async function storeTrouble(store: ObjectStore): Promise<string[]> {
  try {
    await store.check(AbortSignal.timeout(CHECK_TIMEOUT_MS))
    return []
  } catch (error) {
    return [error instanceof ServiceError ? error.message : 'The object store does not respond']
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
