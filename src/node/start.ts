import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import packageJson from '../../package.json' with { type: 'json' }
import { type FolderAccess, folderAccess, probeAccessTimes } from '../adapters/cache/cache-folder.ts'
import { yieldToOtherSessions } from '../adapters/renderer/session-priority.ts'
import type { BucketSettings } from '../config/buckets-file.ts'
import type { Config } from '../config/env.ts'
import type { SinkSettings } from '../config/sinks-file.ts'
import { startGreeting } from '../domain/access/write-access.ts'
import { CACHE_EVENTS } from '../domain/info/image-event.ts'
import { CACHE_FOLDERS } from '../domain/stored/cache-layout.ts'
import { close, listen } from '../http/connection/server.ts'
import type { InvalidationWatch } from '../service/deletion/guard.ts'
import type { EventFeed } from '../service/library/event-feed.ts'
import type { PurgeService } from '../service/library/purge-service.ts'
import { createAccessWatch, createDegradation, type Degradation } from '../service/load/access-watch.ts'
import type { Meter } from '../service/ports/meter.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { nodeMetrics } from './node-metrics.ts'
import {
  cachePlace,
  createElsewhere,
  createMeter,
  createRenderers,
  createStore,
  openDisk,
  prepareDisk,
} from './outside.ts'
import { createParts, delay, type Parts, repeating } from './parts.ts'
import { createReadiness } from './readiness.ts'
import { begun, renditionSweep, untilItWorks } from './repeated.ts'
import { createRelay, purgesChanges } from './relay.ts'
import { createServices, type Outside } from './services.ts'
import { atStart, listenTrouble } from './start-trouble.ts'
import { createWebServer } from './web-server.ts'
import { findAccess, type NodeAccess } from './write-access.ts'

/** Properties of the machine and the process. */
export interface Machine {
  /** Of the machine, or what its container may have. */
  readonly memoryBytes: number
  /** Of Node.js. */
  readonly nodeVersion: string
}

/** Content of the files that settings name. */
export interface SettingsFiles {
  readonly buckets: readonly BucketSettings[]
  readonly sinks: readonly SinkSettings[]
}

export interface Node {
  readonly url: string
  /**
   * Instructions for uploading with the generated token; empty if the tokens come from the settings, or there are none.
   *
   * @param toTerminal Whether the text is not logged. Otherwise it contains the token only if this start has generated
   *   it.
   */
  greeting(toTerminal: boolean): string
  /**
   * Reports "not ready", keeps serving for the drain time, then stops all parts in order. Resolves when the node has
   * ended.
   */
  stop(): Promise<void>
}

/** With the second for which nginx may keep a file open, a deletion takes at most two seconds. */
const POLL_MS = 750
/** The node waits for the first poll of deletions before it listens, but no longer than this if the store is down. */
const FIRST_LOOK_MS = 2000
const ACCESS_MS = 30_000
const TRIM_MS = 3_600_000
const RESUME_MS = 30_000
const RELAY_MS = 1000
const RELAY_TROUBLE = 'The lease for delivering events could not be read or renewed in the object store'

/**
 * Makes a node of its parts and starts it.
 *
 * @throws The error that prevents the start, such as a port in use.
 */
export async function startNode(
  config: Config,
  { buckets: bucketSettings, sinks }: SettingsFiles,
  { memoryBytes, nodeVersion }: Machine,
): Promise<Node> {
  const { log, flush } = createLog(config.LOG_LEVEL)
  const metrics = createMetrics()
  const meter = createMeter(log, metrics)
  const parts = createParts()
  await prepareDisk(config)
  const writeAccess = await findAccess(config, log)
  const outside = await openOutside({ config, bucketSettings, sinks, memoryBytes, writeAccess, log, meter, parts })
  const services = createServices(config, outside, parts)
  const degradation = createDegradation(meter, () => performance.now())
  const mayWrite = writeAccess.tokens.length > 0
  addStoreWatches(parts, { ...outside, ...services, degradation, writeAccess })
  if (config.STORE.startsWith('file:') && mayWrite)
    parts.add(begun(repeating(TRIM_MS, renditionSweep(config, outside))))
  const relay = parts.add(await createRelay(config, sinks, { ...outside, ...services, mayWrite }))
  services.onEvents((events) => {
    // Other events wait for the next look, so that a message has many.
    if (events.some(({ type }) => CACHE_EVENTS.includes(type))) relay.wake()
  })
  if (sinks.length > 0) parts.add(begun(repeating(RELAY_MS, untilItWorks(meter, RELAY_TROUBLE, relay.tick))))
  // After the first look for deletions, which may replace the whole cache.
  parts.add(outside.disk.keeper)
  const readiness = createReadiness({ ...outside, ...services, ...outside.disk, degradation, notes: writeAccess.notes })
  const web = createWebServer(config, {
    ...services,
    log,
    metrics,
    parts,
    writeAccess,
    readiness,
    degradation,
    cacheAccess: config.ACCEL_PREFIX === '' ? '' : await cacheAccess(config, log),
  })
  let url = ''
  parts.add(
    {
      async start() {
        if (config.ACCEL_PREFIX !== '') yieldToOtherSessions()
        url = await listen(web, config.PORT, config.HOST).catch((error: unknown) => {
          throw listenTrouble(error, config)
        })
      },
      stop: () => close(web),
    },
    'requests',
  )
  parts.add({ stop: () => endLog(log, flush) }, 'log')
  const versions = { version: packageJson.version, node: nodeVersion }
  metrics.observe(nodeMetrics({ ...services, relay, ...outside.disk, ...outside, parts, readiness, versions }))
  await parts.start().catch(async (error: unknown) => {
    await parts.stop()
    throw error
  })
  log.info({ url, store: config.STORE.replace(/:.*/, '') }, 'listening')
  return {
    url,
    greeting: (toTerminal) => greet(config, { url, access: writeAccess, toTerminal }),
    async stop() {
      readiness.drain()
      log.info('draining')
      await delay(config.DRAIN_SECONDS * 1000)
      await parts.stop()
    },
  }
}

interface OutsideOptions {
  readonly config: Config
  readonly bucketSettings: readonly BucketSettings[]
  readonly sinks: readonly SinkSettings[]
  readonly memoryBytes: number
  readonly writeAccess: NodeAccess
  readonly log: Log
  readonly meter: Meter
  readonly parts: Parts
}

async function openOutside(options: OutsideOptions): Promise<Outside> {
  const { config, bucketSettings, sinks, memoryBytes, writeAccess, log, meter, parts } = options
  const renderers = createRenderers(config, meter, memoryBytes)
  parts.add({ stop: renderers.stop }, 'renders')
  const { pipelineMtimeSeconds } = await renderers.ready()
  const disk = await openDisk(config, meter, pipelineMtimeSeconds, memoryBytes)
  // After the requests, whose renditions may wait.
  parts.add({ stop: disk.cache.flush })
  log.info(ATIME_MESSAGES[await atStart(cachePlace(config.CACHE_DIR), probeAccessTimes(config.CACHE_DIR))])
  const store = await createStore(config, { readOnly: writeAccess.tokens.length === 0 })
  const elsewhere = await createElsewhere(config, bucketSettings)
  parts.add({ stop: store.close }, 'connections')
  parts.add({ stop: elsewhere.close }, 'connections')
  return { store, disk, renderers, meter, elsewhere, reportsChanges: purgesChanges(sinks) }
}

interface Watched extends Pick<Outside, 'store' | 'elsewhere' | 'meter'> {
  readonly feed: EventFeed
  readonly purges: PurgeService
  /** Reports images without an event. */
  readonly nightly: (signal: AbortSignal) => Promise<void>
  readonly watch: InvalidationWatch
  readonly degradation: Degradation
  readonly writeAccess: NodeAccess
}

/** Polls for deletions, checks permissions, and removes expired invalidations. */
function addStoreWatches(
  parts: Parts,
  { store, elsewhere, meter, feed, purges, nightly, watch, degradation, writeAccess }: Watched,
): void {
  const accessWatch = createAccessWatch({
    buckets: elsewhere.buckets,
    ...(writeAccess.tokens.length > 0 && { uploadStore: store }),
    degradation,
    now: () => performance.now(),
  })
  const reporting = (message: string, task: (signal: AbortSignal) => Promise<void>) => async (signal: AbortSignal) => {
    await task(signal).catch((error: unknown) => {
      if (!signal.aborted) meter.trouble(message, error)
    })
  }
  const deletions = repeating(POLL_MS, watch.poll)
  parts.add({
    async start() {
      await Promise.race([deletions.start(), delay(FIRST_LOOK_MS)])
    },
    stop: deletions.stop,
  })
  parts.add(
    begun(
      repeating(TRIM_MS, reporting('Expired invalidations could not be deleted from the object store', watch.trim)),
    ),
  )
  if (writeAccess.tokens.length > 0) {
    parts.add(begun(repeating(RESUME_MS, reporting('Interrupted purges could not be resumed', purges.resume))))
    parts.add(
      begun(repeating(TRIM_MS, reporting('Expired events could not be deleted from the object store', feed.trim))),
    )
    parts.add(begun(repeating(TRIM_MS, reporting('Images without an event could not be looked for', nightly))))
  }
  parts.add(
    begun(
      repeating(
        ACCESS_MS,
        reporting('The permissions of this node in the object store could not be checked', accessWatch.look),
      ),
    ),
  )
}

async function endLog(log: Log, flush: () => void): Promise<void> {
  // The access log writes the lines of this turn of the event loop in the next.
  await nextTurn()
  log.info('stopped')
  flush()
}

interface Greeted {
  readonly url: string
  readonly access: NodeAccess
  readonly toTerminal: boolean
}

function greet({ HOME_PAGE: hasPage }: Config, { url, access: { generated }, toTerminal }: Greeted): string {
  if (generated === undefined) return ''
  const { token, path: tokenPath, isNew } = generated
  return startGreeting({ url, tokenPath, hasPage, ...((toTerminal || isNew) && { token }) })
}

/** @returns The permissions of the folders that nginx has to enter, for the log. */
async function cacheAccess({ CACHE_DIR }: Config, log: Log): Promise<string> {
  const folders = await folderAccess(join(CACHE_DIR, CACHE_FOLDERS.renditions))
  const describe = ({ path, mode, uid, gid }: FolderAccess) => `${path} (mode ${mode}, uid ${uid}, gid ${gid})`
  const closed = folders.filter(({ isOwnersAlone }) => isOwnersAlone).map(describe)
  if (closed.length > 0) {
    log.warn(
      { folders: closed },
      'Only the owner can enter these folders: run the nginx workers as that user, or allow their group to enter',
    )
  }
  return folders.map(describe).join(', ')
}

const ATIME_MESSAGES = {
  kernel: 'The file system of the cache records access times: cached files expire by their last access',
  manual:
    'The file system of the cache does not record access times (noatime): files served directly by nginx expire by ' +
    'their creation time and are then rendered again',
} as const
