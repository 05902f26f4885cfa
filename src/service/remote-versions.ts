import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Freshness } from '../domain/freshness.ts'
import { contentTypeOf, type InputFormat } from '../domain/image-format.ts'
import type { RemoteRef } from '../domain/original-ref.ts'
import { formatRemotePointer, parseRemotePointer, type RemotePointer } from '../domain/remote-pointer.ts'
import { remoteOriginalKey, remotePointerKey } from '../domain/store-layout.ts'
import { isTransientId, resourceId, transientId, versionId } from '../domain/version-id.ts'
import { OriginalError, RemoteError, UnavailableError } from '../errors.ts'
import { createFreshAnswers } from './fresh-answers.ts'
import type { InvalidationWatch } from './invalidation-watch.ts'
import type {
  ImageCache,
  ImageEngine,
  Meter,
  ObjectStore,
  RemoteAnswer,
  RemoteFreshness,
  RemoteSource,
  RemoteValidators,
  Spool,
  Spooled,
} from './ports.ts'
import { createSharing } from './sharing.ts'
import { readText } from './small-object.ts'
import { ChangedError, type Version, type Versions } from './versions.ts'

export interface RemoteVersionsOptions {
  readonly source: RemoteSource
  readonly store: ObjectStore
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: ImageEngine
  readonly watch: InvalidationWatch
  readonly meter: Meter
  /** Ms since 1970. */
  readonly now: () => number
  readonly maxOriginalBytes: number
  /** For so long a picture goes on after its host has failed. */
  readonly staleIfErrorSeconds: number
  /** Bytes of originals that may be held in memory: those that nobody may keep, or that nothing took. */
  readonly maxHeldBytes: number
}

interface Located extends Version {
  readonly url: string
  readonly sha256: string
  readonly validators: RemoteValidators
}

const MAX_LOCATED = 100_000
/** For the renditions of one page. */
const HELD_MS = 30_000

/**
 * Originals on other hosts, each kept in the store, so that neither another node nor another day needs the host. A version is
 * what its bytes say.
 */
export function createRemoteVersions(options: RemoteVersionsOptions): Versions<RemoteRef> {
  const { source, store, cache, spool, engine, watch, meter, now, maxOriginalBytes, staleIfErrorSeconds } = options
  const answers = createFreshAnswers<Located>({ watch, now })
  const located = new LRUCache<string, Located>({ max: MAX_LOCATED })
  const lost = new LRUCache<string, true>({ max: MAX_LOCATED })
  const held = new LRUCache<string, Spooled>({
    maxSize: options.maxHeldBytes,
    sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
    ttl: HELD_MS,
    ttlAutopurge: true,
    dispose: (spooled) => void spooled.discard(),
  })
  const sharing = createSharing({
    store,
    meter,
    trouble: 'A remote image could not be written to the object store: other nodes will fetch it again',
  })
  const background = new Set<Promise<void>>()
  const stopping = new AbortController()

  async function ask(ref: RemoteRef, known: Located | undefined, signal: AbortSignal): Promise<Located> {
    const asked = known && !lost.has(known.id) && !isTransientId(known.id) ? known : undefined
    const checkedAt = now()
    const answer = await fetch(ref.url, asked?.validators ?? {}, signal)
    if (answer.kind === 'body') return await takeIn(ref, { ...answer, checkedAt, asked }, signal)
    if (asked === undefined)
      throw new RemoteError('remote_failed', 'The remote host says that nothing has changed, and nothing is known')
    const { freshness, validators } = answer
    const version = {
      ...asked,
      checkedAt,
      freshness: termsOf(freshness),
      validators: { ...asked.validators, ...validators },
    }
    track(sharePointer(version))
    return locate(version)
  }

  /** What may be kept goes to the disk; if that takes nothing, it is fetched once more, into memory. */
  async function fetch(url: string, known: RemoteValidators, signal: AbortSignal): Promise<Fetched> {
    const answer = await source.fetch(url, known, signal)
    if (answer.kind === 'unchanged') return answer
    const { body, ...head } = answer
    if (!head.freshness.storable) return { ...head, spooled: await spool.toMemory(body, maxOriginalBytes, signal) }
    try {
      return { ...head, spooled: await spool.toDisk(body, maxOriginalBytes, signal) }
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.code !== 'disk_unavailable') throw error
    }
    const again = await source.fetch(url, {}, signal)
    if (again.kind === 'unchanged') return again
    return { ...again, spooled: await spool.toMemory(again.body, maxOriginalBytes, signal) }
  }

  /** A node that has never seen it begins with what another one found out. */
  async function readPointer(ref: RemoteRef, signal: AbortSignal): Promise<Located | undefined> {
    const resource = resourceId(ref)
    const text = await readText(store, remotePointerKey(resource), signal).catch((error: unknown) => {
      signal.throwIfAborted()
      if (!(error instanceof UnavailableError)) throw error
      meter.trouble('What is known of a remote image could not be read: it is fetched from its host', error)
      return undefined
    })
    const pointer = text === undefined ? undefined : parseRemotePointer(text)
    return pointer?.url === ref.url ? fromPointer(resource, pointer) : undefined
  }

  async function takeIn(ref: RemoteRef, fetched: TakenIn, signal: AbortSignal): Promise<Located> {
    const { spooled, freshness, validators, checkedAt, asked } = fetched
    const { sha256, sizeBytes } = spooled
    const resource = resourceId(ref)
    const id = freshness.storable ? versionId(resource, sha256) : transientId(resource, randomUUID())
    try {
      const { format } = await inspect(spooled)
      const modifiedAt = dateOf(validators.lastModified)
      const version: Located = {
        id,
        resource,
        url: ref.url,
        sha256,
        sizeBytes,
        checkedAt,
        freshness: termsOf(freshness),
        isFixed: false,
        validators,
        ...(modifiedAt && { modifiedAt }),
      }
      if (freshness.storable) await keep(version, spooled, format, signal)
      else held.set(id, spooled)
      lost.delete(id)
      if (asked && asked.id !== id) track(drop(asked))
      return locate(version)
    } finally {
      if (held.peek(id) !== spooled) await spooled.discard()
    }
  }

  /** A page that says "not found" with a 200 is the host's failure, and what was there before may go on. */
  async function inspect({ source: bytes }: Spooled): Promise<{ readonly format: InputFormat }> {
    try {
      return await engine.inspect(bytes)
    } catch (cause) {
      if (!(cause instanceof OriginalError) || cause.code !== 'original_unsupported') throw cause
      throw new RemoteError('remote_failed', 'The remote host answered with something that is no image we read', {
        cause,
      })
    }
  }

  /** The original before what names it. Where the store does not take it this node goes on alone. */
  async function keep(version: Located, spooled: Spooled, format: InputFormat, signal: AbortSignal): Promise<void> {
    const { id, resource } = version
    const { source: bytes, sizeBytes, md5 } = spooled
    try {
      const put = { contentType: contentTypeOf(format), sizeBytes, md5, overwrite: true }
      await store.put(remoteOriginalKey(resource, id), bytes, put, signal)
      track(sharePointer(version))
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UnavailableError)) throw error
      meter.trouble('A remote image could not be written to the object store: other nodes will fetch it again', error)
    }
    // The first view then needs no fetch from the store. Losing it costs only that.
    const path = 'path' in bytes ? await cache.adoptOriginal(id, bytes.path) : undefined
    if (path === undefined && 'bytes' in bytes) held.set(id, spooled)
  }

  async function sharePointer(version: Located): Promise<void> {
    const bytes = Buffer.from(formatRemotePointer(toPointer(version)))
    const object = { key: remotePointerKey(version.resource), bytes, contentType: 'application/json' }
    await sharing.share(object, stopping.signal)
  }

  /** Another node may still be reading it: that one asks anew. */
  async function drop({ resource, id }: Located): Promise<void> {
    await store.remove(remoteOriginalKey(resource, id), stopping.signal)
  }

  function track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        if (!stopping.signal.aborted)
          meter.trouble('What is kept of a remote image could not be brought up to date', error)
      })
      .finally(() => background.delete(tracked))
    background.add(tracked)
  }

  function termsOf({ freshSeconds, staleWhileRevalidateSeconds, staleIfError }: RemoteFreshness): Freshness {
    return { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds: staleIfError ? staleIfErrorSeconds : 0 }
  }

  function locate(version: Located): Located {
    located.set(version.id, version)
    return version
  }

  return {
    async current(ref, signal) {
      const informant = {
        ask: (known: Located | undefined, within: AbortSignal) => ask(ref, known, within),
        recall: (within: AbortSignal) => readPointer(ref, within),
      }
      return locate(await answers.get(resourceId(ref), informant, signal))
    },
    expire: (ref) => answers.expire(resourceId(ref)),
    forget: answers.forget,
    knows: (id) => located.has(id),
    async stop() {
      stopping.abort(new Error('The node is about to stop'))
      await Promise.all([answers.stop(), ...background])
    },

    held: (id) => held.get(id)?.source,
    async open(id, signal) {
      const version = located.get(id)
      const object = version && (await store.open(remoteOriginalKey(version.resource, id), signal))
      if (object !== undefined) return object
      // Somebody has tidied up, or another node has a newer one: it is fetched whole.
      lost.set(id, true)
      throw new ChangedError()
    },
    sizeBytes: async (id) => located.get(id)?.sizeBytes,
    isGenuine: (id, { sha256 }) => located.get(id)?.sha256 === sha256,
  }
}

interface FetchedBody extends Omit<Extract<RemoteAnswer, { kind: 'body' }>, 'body'> {
  readonly spooled: Spooled
}

type Fetched = Extract<RemoteAnswer, { kind: 'unchanged' }> | FetchedBody

interface TakenIn extends FetchedBody {
  readonly checkedAt: number
  /** What the host was asked whether it still has. */
  readonly asked: Located | undefined
}

function toPointer({ url, sha256, sizeBytes, checkedAt, freshness, validators }: Located): RemotePointer {
  return { url, sha256, sizeBytes, checkedAt, freshness, ...validators }
}

function fromPointer(resource: string, { etag, lastModified, ...pointer }: RemotePointer): Located {
  const modifiedAt = dateOf(lastModified)
  return {
    ...pointer,
    id: versionId(resource, pointer.sha256),
    resource,
    isFixed: false,
    validators: { etag, lastModified },
    ...(modifiedAt && { modifiedAt }),
  }
}

function dateOf(lastModified: string | undefined): Date | undefined {
  const ms = Date.parse(lastModified ?? '')
  return Number.isNaN(ms) ? undefined : new Date(ms)
}
