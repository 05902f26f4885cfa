import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { createFlagFolder } from '../adapters/cache/flag-folder.ts'
import type { Config } from '../config/env.ts'
import { sizePolicy } from '../config/size-policy.ts'
import { parseSpecOrReticulumSize } from '../domain/dialect/reticulum-answer.ts'
import { parseSpec } from '../domain/spec/spec.ts'
import { NOT_FOUND_FLAGS, OVERLOAD_FLAGS } from '../domain/stored/cache-layout.ts'
import type { Readiness } from '../http/api/node-handlers.ts'
import { createAccessReport } from '../http/connection/access-log.ts'
import { createNotFoundFlags } from '../http/connection/not-found-flags.ts'
import { createHttpServer } from '../http/connection/server.ts'
import { createShed } from '../http/connection/shed.ts'
import { pictureHandlers } from '../http/pictures/picture-handlers.ts'
import { createNginxFront } from '../http/request/nginx-front.ts'
import { createNotFoundLimit, type NotFoundLimit } from '../http/request/not-found-limit.ts'
import { type ClientOf, createAskedBy, createClientOf, createViewerOf } from '../http/request/request-state.ts'
import { createApp } from '../http/routes.ts'
import type { Degradation } from '../service/load/access-watch.ts'
import { createNotFoundBudget, type NotFoundBudget } from '../service/load/not-found-budget.ts'
import { createKnownOriginals } from '../service/originals/known.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { readHomePage } from './home-page.ts'
import { memberWarnings, type NodeMembership } from './membership.ts'
import type { Parts } from './parts.ts'
import { dialectSettings, type Services, trustedProxies } from './services.ts'
import type { NodeAccess } from './write-access.ts'

export interface WebServerOptions extends Services {
  readonly log: Log
  readonly metrics: Metrics
  readonly parts: Parts
  readonly writeAccess: NodeAccess
  readonly readiness: Readiness
  readonly degradation: Degradation
  /** Absent: the node does not register. */
  readonly membership: NodeMembership | undefined
  /** A peer has written an invalidation. */
  readonly onHint: () => void
  /** Permissions of the folders that nginx has to enter. */
  readonly cacheAccess: string
}

/** The limit for images that do not exist; if there is an nginx, it rejects clients above it. */
function createLimit(
  config: Config,
  options: WebServerOptions,
  budget: NotFoundBudget,
  clientOf: ClientOf,
): NotFoundLimit {
  const { parts, writeAccess: access, disk, meter } = options
  const known = createKnownOriginals({ ...options, cache: disk.cache })
  const limit = { budget, known, clientOf, viewerOf: createViewerOf(clientOf), access }
  if (config.ACCEL_PREFIX === '') return createNotFoundLimit(limit)
  const onStuck = (error: unknown) =>
    meter.trouble('nginx rejects requests of a client for uncached images: its flag file cannot be removed', error)
  const flags = parts.add(createFlagFolder({ folder: join(config.CACHE_DIR, NOT_FOUND_FLAGS), onStuck }))
  return createNotFoundLimit({ ...limit, onRejected: createNotFoundFlags({ isSpent: budget.isSpent, flags }).rejected })
}

/** Less than the timeout of a request in nginx.conf. */
const MAX_FEED_WAIT_SECONDS = 25

/** The app, and the server that hands requests to it. */
export function createWebServer(config: Config, options: WebServerOptions): Server {
  const { log, metrics, parts, writeAccess, readiness, degradation, cacheAccess, disk, meter, events } = options
  const shared = {
    ...options,
    policy: sizePolicy(config),
    access: writeAccess,
    readSpec: config.RETICULUM_SIZES ? parseSpecOrReticulumSize : parseSpec,
    publicUrl: config.PUBLIC_URL,
    showGps: config.SHOW_GPS,
    requestTimeoutMs: config.REQUEST_TIMEOUT_SECONDS * 1000,
  }
  const report = createAccessReport(log, metrics)
  const clientOf = createClientOf(trustedProxies(config))
  const budget = createNotFoundBudget({ perMinute: config.NOT_FOUND_PER_MINUTE, now: () => performance.now() })
  const notFoundLimit = createLimit(config, options, budget, clientOf)
  const pictures = pictureHandlers({
    ...shared,
    cache: disk.cache,
    askedBy: createAskedBy(clientOf),
    notFoundLimit,
    front: createNginxFront({
      accelPrefix: config.ACCEL_PREFIX,
      degradation,
      now: performance.now.bind(performance),
      access: cacheAccess,
    }),
    cacheTagHeaders: config.CACHE_TAG_HEADERS,
    now: Date.now,
    dialects: dialectSettings(config),
    errorPicture: readFileSync(new URL('../http/answer/error-picture.png', import.meta.url)),
  })
  const app = createApp(log, report, {
    images: { ...shared, primeSizes: config.PRIME_SIZES, maxUploadBytes: config.MAX_UPLOAD_BYTES },
    infos: shared,
    feeds: {
      ...shared,
      maxWaitSeconds: Math.max(0, Math.min(MAX_FEED_WAIT_SECONDS, config.REQUEST_TIMEOUT_SECONDS - 5)),
    },
    rejections: shared,
    purges: shared,
    nodes: {
      ...shared,
      members: { read: options.peers.roll.read, warnings: () => memberWarnings(options.membership) },
    },
    hints: { trustedNetworks: config.TRUSTED_NETWORKS, onHint: options.onHint },
    events: { tokens: config.EVENT_TOKENS, onEvents: events.tell },
    pictures,
    metrics,
    readiness,
    clientOf,
    notFoundLimit,
    home: readHomePage(config, writeAccess),
    requestTimeoutMs: shared.requestTimeoutMs,
  })
  // Load shedding relies on headers of nginx; without nginx clients could set them.
  if (config.ACCEL_PREFIX === '') return createHttpServer(app)
  const folder = join(config.CACHE_DIR, OVERLOAD_FLAGS)
  const onStuck = (error: unknown) =>
    meter.trouble('nginx rejects requests for uncached images: an overload flag file cannot be removed', error)
  const flags = parts.add(createFlagFolder({ folder, onStuck }))
  const shed = createShed({
    refusal: (network) => options.renderQueue.refusal('viewer', network),
    takeSeat: (network) => options.renderQueue.takeSeat('viewer', network),
    isKnown: budget.isKnown,
    diskFails: () => disk.keeper.degraded,
    report,
    clientOf,
    flags,
  })
  return createHttpServer(app, shed)
}
