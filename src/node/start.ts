import { randomBytes } from 'node:crypto'
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
import type { NodeEntry } from '../domain/stored/node-entry.ts'
import { CACHE_FOLDERS } from '../domain/stored/cache-layout.ts'
import { close, listen } from '../http/connection/server.ts'
import type { EventRelay } from '../service/library/event-relay.ts'
import { createDegradation, type Degradation } from '../service/load/access-watch.ts'
import type { Meter } from '../service/ports/meter.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createNodeMembership, createPeers } from './membership.ts'
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
import { readingNearest, watchEndpoints } from './replicas.ts'
import { createServices, type Outside, type Services } from './services.ts'
import { atStart, listenTrouble } from './start-trouble.ts'
import { addStoreWatches } from './store-watches.ts'
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

const RELAY_MS = 1000
const SWEEP_MS = 3_600_000
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
  const relay = await createRelay(config, sinks, { ...outside, ...services, mayWrite: writeAccess.tokens.length > 0 })
  let url = ''
  const { readiness, membership } = await createStanding({
    ...outside,
    ...services,
    config,
    log,
    relay,
    degradation,
    writeAccess,
    isListening: () => url !== '',
  })
  if (membership) parts.add(membership.joining)
  const deletions = addStoreWatches(parts, { ...outside, ...services, degradation, writeAccess })
  if (config.STORE.startsWith('file:') && writeAccess.tokens.length > 0)
    parts.add(begun(repeating(SWEEP_MS, renditionSweep(config, outside))))
  addRelay(parts, relay, { ...services, ...outside.peers, sinks, meter })
  // After the first look for deletions, which may replace the whole cache.
  parts.add(outside.disk.keeper)
  const web = createWebServer(config, {
    ...services,
    log,
    metrics,
    parts,
    writeAccess,
    readiness,
    degradation,
    membership,
    onHint() {
      outside.peers.hints.countReceived()
      deletions.wake()
      relay.wake()
    },
    cacheAccess: config.ACCEL_PREFIX === '' ? '' : await cacheAccess(config, log),
  })
  const listening = {
    async start() {
      if (config.ACCEL_PREFIX !== '') yieldToOtherSessions()
      url = await listen(web, config.PORT, config.HOST).catch((error: unknown) => {
        throw listenTrouble(error, config)
      })
    },
    stop: () => close(web),
  }
  if (membership) parts.add(membership.joined)
  parts.add(listening, 'requests')
  if (membership) parts.add(membership.member)
  parts.add({ stop: () => endLog(log, flush) }, 'log')
  const versions = { version: packageJson.version, node: nodeVersion }
  metrics.observe(nodeMetrics({ ...services, relay, ...outside.disk, ...outside, parts, readiness, versions }))
  await parts.start().catch(async (error: unknown) => {
    await parts.stop()
    throw error
  })
  log.info({ url, store: config.STORE.replace(/:.*/, ''), name: outside.peers.name }, 'listening')
  return {
    url,
    greeting: (toTerminal) => greet(config, { url, access: writeAccess, toTerminal }),
    async stop() {
      readiness.drain()
      log.info('draining')
      void membership?.renew()
      await delay(config.DRAIN_SECONDS * 1000)
      await parts.stop()
    },
  }
}

interface Relayed extends Pick<Services, 'onEvents'>, Pick<Outside['peers'], 'hints'> {
  readonly sinks: readonly SinkSettings[]
  readonly meter: Meter
}

function addRelay(parts: Parts, relay: EventRelay, { onEvents, hints, sinks, meter }: Relayed): void {
  parts.add(relay)
  onEvents((events) => {
    // Other events wait for the next look, so that a message has many.
    if (!events.some(({ type }) => CACHE_EVENTS.includes(type))) return
    relay.wake()
    // Another node may have the lease.
    hints.announce()
  })
  if (sinks.length > 0) parts.add(begun(repeating(RELAY_MS, untilItWorks(meter, RELAY_TROUBLE, relay.tick))))
}

interface StandingOptions extends Services {
  readonly config: Config
  readonly log: Log
  readonly relay: EventRelay
  readonly degradation: Degradation
  readonly writeAccess: NodeAccess
  readonly isListening: () => boolean
}

/** What fronts and other nodes are told of this node. */
async function createStanding(options: StandingOptions) {
  const { disk, relay, writeAccess, isListening } = options
  const readiness = createReadiness({
    ...options,
    ...disk,
    notes: writeAccess.notes,
    memberTrouble: () => membership?.trouble,
  })
  const membership = await createNodeMembership({
    ...options,
    mayWrite: writeAccess.tokens.length > 0,
    state: () => (readiness.isDraining ? 'draining' : readiness.isReady && isListening() ? 'ready' : 'not-ready'),
    figures: () => figures(options, relay),
  })
  return { readiness, membership }
}

/** How far this node is behind, and its work, for its entry in the store. Each name ends with its unit. */
function figures(
  { watch, purges, renderQueue, fetchQueue }: Services,
  { counters }: EventRelay,
): Pick<NodeEntry, 'lag' | 'load'> {
  const tenths = (seconds: number) => Math.round(seconds * 10) / 10
  return {
    lag: {
      invalidationSeconds: tenths(watch.lagSeconds),
      eventSeconds: tenths(counters.lagSeconds),
      purgesPending: purges.pending,
    },
    load: {
      rendersActive: renderQueue.active,
      rendersQueued: renderQueue.waiting,
      fetchesActive: fetchQueue.active,
      fetchesQueued: fetchQueue.waiting,
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
  const primary = await createStore(config, { readOnly: writeAccess.tokens.length === 0 })
  const { store, reads } = await readingNearest(config, primary)
  if (reads) parts.add({ ...begun(watchEndpoints(reads, meter)), forget: reads.forget })
  const elsewhere = await createElsewhere(config, bucketSettings)
  parts.add({ stop: store.close }, 'connections')
  parts.add({ stop: elsewhere.close }, 'connections')
  const node = randomBytes(4).toString('hex')
  const peers = createPeers(config, store, node)
  parts.add(peers.hints)
  return { store, reads, disk, renderers, meter, elsewhere, peers, node, reportsChanges: purgesChanges(sinks) }
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
