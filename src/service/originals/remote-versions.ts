import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Freshness } from '../../domain/caching/picture-caching.ts'
import { isTransientId, resourceId, transientId, versionId } from '../../domain/identity/image-id.ts'
import type { AskedRemote, RemoteRef } from '../../domain/identity/original-ref.ts'
import type { RemoteHost } from '../../domain/network/remote-hosts.ts'
import { assertAllowedUrl } from '../../domain/network/remote-hosts.ts'
import type { InputFormat } from '../../domain/spec/image-format.ts'
import type { RemotePointer } from '../../domain/stored/remote-pointer.ts'
import { OriginalError, RemoteError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { ImageCache, RenditionShelf, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { RemoteAnswer, RemoteFreshness, RemoteSource, RemoteValidators } from '../ports/remote.ts'
import type { NewRemotes } from './new-remotes.ts'
import type { RemoteShelf } from './remote-shelf.ts'
import { ChangedError, createLocatedVersions, type Version, type Versions } from './versions.ts'

export interface RemoteVersionsOptions {
  readonly source: RemoteSource
  /** That may be asked for. */
  readonly hosts: readonly RemoteHost[]
  readonly shelf: RemoteShelf
  readonly newRemotes: NewRemotes
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: ImageEngine
  readonly guard: DeletionGuard
  /** Ms since 1970. */
  readonly now: () => number
  /** Entries of each table in memory at most. */
  readonly maxRemembered: number
  readonly maxOriginalBytes: number
  /** For so long a picture goes on after its host has failed. */
  readonly staleIfErrorSeconds: number
  /** Bytes of originals that may be held in memory: those that nobody may keep, or that nothing took. */
  readonly maxHeldBytes: number
  /** Renditions are kept in the store as well, under this name of the pipeline; absent: they are not. */
  readonly keptRenditions?: string
}

/** Remote originals, and what was made of them. */
export interface RemoteVersions extends Versions<AskedRemote> {
  readonly renditions: RenditionShelf
}

interface Located extends Version {
  readonly url: string
  readonly sha256: string
  /** As in `RemotePointer`. */
  readonly usedAt?: number | undefined
  readonly validators: RemoteValidators
}

const MAX_LOST = 10_000
/** Of a version in memory, without its URL and validators. */
const ENTRY_BYTES = 700
/** For the renditions of one page. */
const HELD_MS = 30_000

/**
 * Originals on other hosts, each kept in the store, so that neither another node nor another day needs the host. A version is
 * what its bytes say.
 */
export function createRemoteVersions(options: RemoteVersionsOptions): RemoteVersions {
  const { source, hosts, shelf, newRemotes, cache, spool, engine, guard, now, maxOriginalBytes } = options
  const { staleIfErrorSeconds, keptRenditions, maxRemembered } = options
  const admit = ({ client }: AskedRemote) => newRemotes.assertRoom(client)
  const informant = { admit, ask, recall }
  const versions = createLocatedVersions<AskedRemote, Located>(informant, { guard, now, maxRemembered, sizeOf })
  const lost = new LRUCache<string, true>({ max: Math.min(maxRemembered, MAX_LOST) })
  const held = new LRUCache<string, Spooled>({
    maxSize: options.maxHeldBytes,
    sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
    ttl: HELD_MS,
    ttlAutopurge: true,
    dispose: (spooled) => void spooled.discard(),
  })
  async function ask(ref: AskedRemote, known: Located | undefined, signal: AbortSignal): Promise<Located> {
    if (known !== undefined) return (await askHost(ref, known, signal)).version
    const place = newRemotes.enter(ref.client)
    let isAdded = false
    try {
      const asked = await askHost(ref, undefined, signal)
      isAdded = asked.isAdded
      return asked.version
    } finally {
      place.leave(isAdded)
    }
  }

  async function askHost(ref: RemoteRef, known: Located | undefined, signal: AbortSignal): Promise<Asked> {
    const asked = known && !lost.has(known.id) && !isTransientId(known.id) ? known : undefined
    const checkedAt = now()
    const answer = await fetch(ref.url, asked?.validators ?? {}, signal)
    if (answer.kind === 'body') return await takeIn(ref, { ...answer, checkedAt, asked }, signal)
    if (asked === undefined)
      throw new RemoteError('remote_failed', 'The remote host responded with status 304 to an unconditional request')
    const { freshness, validators } = answer
    const version = {
      ...asked,
      checkedAt,
      freshness: termsOf(freshness),
      validators: { ...asked.validators, ...validators },
    }
    shelf.renew(version.resource, toPointer(version))
    return { version, isAdded: false }
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
  async function recall(ref: RemoteRef, signal: AbortSignal): Promise<Located | undefined> {
    const pointer = await shelf.recall(ref, signal)
    return pointer && fromPointer(resourceId(ref), pointer)
  }

  async function takeIn(ref: RemoteRef, fetched: TakenIn, signal: AbortSignal): Promise<Asked> {
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
      const isAdded = freshness.storable && (await keep(version, spooled, format, signal))
      if (!freshness.storable) held.set(id, spooled)
      lost.delete(id)
      if (asked && asked.id !== id) shelf.drop(asked)
      return { version, isAdded }
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
      throw new RemoteError(
        'remote_failed',
        'The remote host responded with an unsupported image format or with no image',
        {
          cause,
        },
      )
    }
  }

  /**
   * Where neither the store nor the disk takes it, memory holds it for a while.
   * @returns whether the store has it.
   */
  async function keep(version: Located, spooled: Spooled, format: InputFormat, signal: AbortSignal): Promise<boolean> {
    const { source: bytes } = spooled
    const isInStore = await shelf.keep(version, toPointer(version), { ...spooled, format }, signal)
    // The first view then needs no fetch from the store. Losing it costs only that.
    const path = 'path' in bytes ? await cache.adoptOriginal(version.id, bytes.path) : undefined
    if (path === undefined && 'bytes' in bytes) held.set(version.id, spooled)
    return isInStore
  }

  function termsOf({ freshSeconds, staleWhileRevalidateSeconds, staleIfError }: RemoteFreshness): Freshness {
    return { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds: staleIfError ? staleIfErrorSeconds : 0 }
  }

  function isKept(id: string): boolean {
    return keptRenditions !== undefined && !isTransientId(id)
  }

  return {
    ...versions,
    async current(ref, signal) {
      // First of all: what is refused costs no look into the store.
      assertAllowedUrl(ref.url, hosts)
      const version = await versions.current(ref, signal)
      if (!isTransientId(version.id)) shelf.touch(version.resource, { ...toPointer(version), usedAt: version.usedAt })
      return version
    },
    async stop() {
      await Promise.all([versions.stop(), shelf.stop()])
    },

    renditions: {
      async find(id, file, signal) {
        const version = isKept(id) ? versions.find(id) : undefined
        return version && (await shelf.findRendition(version, `${keptRenditions}-${file}`, signal))
      },
      keep(id, file, made) {
        const version = isKept(id) ? versions.find(id) : undefined
        if (version) shelf.keepRendition(version, `${keptRenditions}-${file}`, made)
      },
    },
    held: (id) => held.get(id)?.source,
    async open(id, signal) {
      const version = versions.find(id)
      const object = version && (await shelf.open(version, signal))
      if (object !== undefined) return object
      // Somebody has tidied up, or another node has a newer one: it is fetched whole.
      lost.set(id, true)
      throw new ChangedError()
    },
    sizeBytes: async (id) => versions.find(id)?.sizeBytes,
    isGenuine: (id, { sha256 }) => versions.find(id)?.sha256 === sha256,
  }
}

/** What the host said, and whether it added an original to the store. */
interface Asked {
  readonly version: Located
  readonly isAdded: boolean
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

function sizeOf({ url, validators: { etag = '', lastModified = '' } }: Located): number {
  return ENTRY_BYTES + url.length + etag.length + lastModified.length
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
