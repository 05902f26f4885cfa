import { type ObjectRef, resourceId } from '../../domain/identity/image-id.ts'
import { type PurgeRequest, parsePurgeRequest } from '../../domain/info/purge-request.ts'
import { parseRemotePointer, remoteFolders } from '../../domain/stored/remote-pointer.ts'
import {
  labelPrefix,
  PURGES_PREFIX,
  purgeKey,
  REMOTE_PREFIXES,
  remotePointerKey,
} from '../../domain/stored/store-layout.ts'
import type { InvalidationWatch } from '../deletion/guard.ts'
import { type ServedBucket, unknownBucket } from '../originals/buckets.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import type { SharedRenditions } from '../renditions/shared-renditions.ts'
import { createBackground } from '../tools/background.ts'
import { pause } from '../tools/coalesce.ts'
import { putBytes, readText, readWhole } from '../tools/small-object.ts'
import type { Outbox } from './outbox.ts'
import { createPurgeReports } from './purge-reports.ts'

/** Makes every node forget what it keeps of images, and reports each in an event, for caches outside. The originals of uploads stay. */
export interface PurgeService {
  /**
   * When this returns, the purge is in the store, and begins. It is finished even if this node ends before.
   * @param body Of which `request` was parsed.
   * @throws RequestError `bucket_not_found`; UnavailableError
   */
  accept(request: PurgeRequest, body: string, signal: AbortSignal): Promise<void>
  /** Finishes the purges of nodes that have ended. @throws UnavailableError */
  resume(signal: AbortSignal): Promise<void>
  /** Purges in progress on this node. */
  readonly pending: number
  /** Interrupts them; another node finishes them. */
  stop(): Promise<void>
}

export interface PurgeServiceOptions {
  readonly store: ObjectStore
  readonly watch: Pick<InvalidationWatch, 'announce'>
  readonly outbox: Pick<Outbox, 'report'>
  readonly shared: Pick<SharedRenditions, 'remove'>
  /** By alias. */
  readonly buckets: ReadonlyMap<string, Pick<ServedBucket, 'bucket' | 'keyPrefix'>>
  readonly meter: Pick<Meter, 'trouble'>
  /** 8 hex digits that no other process has. */
  readonly node: string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** An image, or an original that can change. */
interface Target {
  /** An image id, or a `resourceId`. */
  readonly id: string
  /** Whether the host has to be asked again. */
  readonly isRemote?: boolean
}

/** Invalidations that are written at the same time. */
const AT_ONCE = 16
/** So many images are invalidated without a pause, and then so many per second: every node lists all of the last minute. */
const PACE = { burst: 400, perSecond: 200 } as const
/** A node renews the object of a purge in progress. One that is older is of a node that has ended. */
const RENEW_MS = 20_000
const ABANDONED_MS = 90_000
const MAX_JOB_BYTES = 4 * 2 ** 20
const TROUBLE = 'A purge was interrupted, and is repeated in about two minutes'

interface Job {
  readonly key: string
  readonly body: string
  readonly request: PurgeRequest
}

export function createPurgeService(options: PurgeServiceOptions): PurgeService {
  const { store, watch, shared, buckets, meter, node, now } = options
  const targetsOf = createTargets(options)
  const background = createBackground()
  const running = new Set<string>()
  let number = 0

  async function write({ key, body }: Job, signal: AbortSignal): Promise<void> {
    await putBytes(store, { key, bytes: Buffer.from(body), contentType: 'application/json', overwrite: true }, signal)
  }

  async function forget({ id, isRemote = false }: Target, signal: AbortSignal): Promise<void> {
    // A node without the pointer asks the host.
    if (isRemote) await store.remove(remotePointerKey(id), signal)
    await watch.announce(id, signal)
  }

  async function forgetAll(job: Job, signal: AbortSignal): Promise<void> {
    const reports = createPurgeReports(options, signal)
    let done = 0
    let renewedAt = now()
    let removed: Promise<unknown> = Promise.resolve()
    for await (const some of inGroups(targetsOf(job.request, signal), AT_ONCE)) {
      const began = performance.now()
      await Promise.all(some.map((target) => forget(target, signal)))
      // After the nodes have been told: a cache outside may ask again at once.
      await reports.add(some.map(({ id }) => id))
      // The next invalidations do not wait for these removals.
      await removed
      removed = Promise.all(some.map(({ id }) => shared.remove(id, signal)))
      removed.catch(() => {})
      done += some.length
      if (now() - renewedAt > RENEW_MS) {
        renewedAt = now()
        await write(job, signal)
      }
      const spacingMs = done > PACE.burst ? (1000 * some.length) / PACE.perSecond : 0
      await pause(spacingMs - (performance.now() - began), signal)
    }
    await reports.end()
    await removed
  }

  async function run(job: Job, signal: AbortSignal): Promise<void> {
    running.add(job.key)
    try {
      await forgetAll(job, signal)
      await store.remove(job.key, signal)
    } catch (error) {
      if (!signal.aborted) meter.trouble(TROUBLE, error)
    } finally {
      running.delete(job.key)
    }
  }

  /** @returns undefined if the purge has been finished meanwhile. */
  async function readJob(key: string, signal: AbortSignal): Promise<Job | undefined> {
    const object = await store.open(key, signal)
    if (object === undefined) return undefined
    const body = (await readWhole(object, MAX_JOB_BYTES)).toString()
    return { key, body, request: parsePurgeRequest(body) }
  }

  return {
    async accept(request, body, signal) {
      for (const { bucket } of [...request.keys, ...request.prefixes]) {
        if (!buckets.has(bucket)) throw unknownBucket(bucket)
      }
      number += 1
      const job = { key: purgeKey({ time: now(), name: `${node}-${number}` }), body, request }
      await write(job, signal)
      background.track(run(job, background.signal))
    },
    async resume(signal) {
      for await (const { key, modifiedAt } of store.listObjects(PURGES_PREFIX, '', signal)) {
        if (running.has(key) || now() - modifiedAt.getTime() < ABANDONED_MS) continue
        const job = await readJob(key, signal)
        if (job === undefined) continue
        // From here on, no other node begins it.
        await write(job, signal)
        await run(job, signal)
      }
    },
    get pending() {
      return running.size
    },
    stop: background.stop,
  }
}

/** @returns A function that finds the originals of a purge, one by one. Some may occur twice. */
function createTargets({ store, buckets }: PurgeServiceOptions) {
  async function* ofLabel(label: string, signal: AbortSignal): AsyncIterable<Target> {
    for await (const key of store.list(labelPrefix(label), '', signal))
      yield { id: key.slice(labelPrefix(label).length) }
  }

  async function* ofPrefix({ bucket: alias, key: prefix }: ObjectRef, signal: AbortSignal): AsyncIterable<Target> {
    const served = buckets.get(alias)
    if (served === undefined) return
    const { bucket, keyPrefix } = served
    // One of them may be longer; only keys with both are served.
    const wanted = prefix.length > keyPrefix.length ? prefix : keyPrefix
    for await (const key of bucket.list(wanted, signal)) {
      if (key.startsWith(prefix)) yield { id: resourceId({ kind: 'object', bucket: alias, key }) }
    }
  }

  /** The resource of a remote image does not tell its host, so every pointer is read. */
  async function* ofHosts(hosts: ReadonlySet<string>, signal: AbortSignal): AsyncIterable<Target> {
    for (const part of REMOTE_PREFIXES) {
      for await (const folders of inGroups(remoteFolders(store.listObjects(part, '', signal)), AT_ONCE)) {
        const read = async ({ resource: id }: { readonly resource: string }) => {
          const text = await readText(store, remotePointerKey(id), signal)
          const url = text === undefined ? undefined : parseRemotePointer(text)?.url
          return url !== undefined && hosts.has(new URL(url).host) ? [{ id, isRemote: true }] : []
        }
        yield* (await Promise.all(folders.map(read))).flat()
      }
    }
  }

  return async function* targetsOf(request: PurgeRequest, signal: AbortSignal): AsyncIterable<Target> {
    for (const id of request.ids) yield { id }
    for (const ref of request.keys) yield { id: resourceId(ref) }
    for (const ref of request.urls) yield { id: resourceId(ref), isRemote: true }
    for (const label of request.labels) yield* ofLabel(label, signal)
    for (const prefix of request.prefixes) yield* ofPrefix(prefix, signal)
    if (request.hosts.length > 0) yield* ofHosts(new Set(request.hosts), signal)
  }
}

async function* inGroups<T>(all: AsyncIterable<T>, size: number): AsyncIterable<readonly T[]> {
  let group: T[] = []
  for await (const one of all) {
    group.push(one)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}
