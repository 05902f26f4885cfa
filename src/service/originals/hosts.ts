import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AskedRemote, RemoteRef } from '../../domain/identity/image-id.ts'
import { isTransientId, resourceId, transientId, versionId } from '../../domain/identity/image-id.ts'
import { assertAllowedUrl, type RemoteHost } from '../../domain/network/remote-hosts.ts'
import type { InputFormat } from '../../domain/spec/image-format.ts'
import type { RemotePointer } from '../../domain/stored/remote-pointer.ts'
import { ChangedError, OriginalError, RemoteError, UnavailableError } from '../../errors.ts'
import type { ImageCache, Intake, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { ChangingSource, Version } from '../ports/originals.ts'
import type { RemoteAnswer, RemoteSource, RemoteValidators } from '../ports/remote.ts'
import { entryBound } from '../tools/memoize.ts'
import { createHostShelf, type HostShelf, type HostShelfOptions } from './host-shelf.ts'
import type { NewRemotes } from './new-remotes.ts'

export interface HostsOptions extends HostShelfOptions {
  readonly source: RemoteSource
  /** Allow-list. */
  readonly hosts: readonly RemoteHost[]
  readonly newRemotes: NewRemotes
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: ImageEngine
  /** Maximum number of entries of each table in memory. */
  readonly maxRemembered: number
  readonly maxOriginalBytes: number
  /** For this time an image is still served after its host has failed. */
  readonly staleIfErrorSeconds: number
  /** Maximum bytes of originals in memory: those that must not be stored, and those that neither store nor disk could take. */
  readonly maxHeldBytes: number
  /** Renditions are kept in the store too, under this name of the pipeline; absent: they are not. */
  readonly keptRenditions?: string
}

/** @see createHosts */
export interface LocatedRemote extends Version {
  readonly url: string
  readonly sha256: string
  /** As in `RemotePointer`. */
  readonly usedAt?: number | undefined
  readonly validators: RemoteValidators
}

const MAX_LOST = 10_000
/** Then the store is tried again, as the host may be away for longer. */
const LOST_MS = 60_000
/** Approximate memory of a version, without its URL and validators. */
const ENTRY_BYTES = 700
/** For the renditions of one page. */
const HELD_MS = 30_000

/**
 * The images on remote hosts. Each is kept in the store, so that other nodes and later days do not need the host. Other bytes
 * are another version.
 */
export function createHosts(options: HostsOptions): ChangingSource<AskedRemote, LocatedRemote> {
  const { hosts, newRemotes, maxRemembered, keptRenditions } = options
  const shelf = createHostShelf(options)
  const held = createHeld(options.maxHeldBytes)
  const ask = createHostRequest({ ...options, shelf, held })
  // Versions whose bytes are missing from the store, or damaged there.
  const lost = new LRUCache<string, true>({ ...entryBound(Math.min(maxRemembered, MAX_LOST)), ttl: LOST_MS })

  const isKept = (id: string) => keptRenditions !== undefined && !isTransientId(id)
  const shelfName = (file: string) => `${keptRenditions}-${file}`

  async function askAgain(
    ref: RemoteRef,
    known: LocatedRemote,
    signal: AbortSignal,
    begun?: () => void,
  ): Promise<LocatedRemote> {
    const isHere = !lost.has(known.id) && !isTransientId(known.id)
    const { version } = await ask(ref, isHere ? known : undefined, signal, begun)
    lost.delete(version.id)
    if (isHere && known.id !== version.id) shelf.drop(known)
    return version
  }

  return {
    assertServed: ({ url }) => assertAllowedUrl(url, hosts),
    admit: ({ client }) => newRemotes.assertRoom(client),
    async recall(ref, signal) {
      const pointer = await shelf.recall(ref, signal)
      return pointer && fromPointer(resourceId(ref), pointer)
    },
    async resolve(ref, known, signal, begun) {
      if (known !== undefined) return await askAgain(ref, known, signal, begun)
      const place = newRemotes.enter(ref.client)
      try {
        const { version, isAdded } = await ask(ref, undefined, signal, begun)
        void isAdded.then(place.leave)
        lost.delete(version.id)
        return version
      } catch (error) {
        place.leave(false)
        throw error
      }
    },
    used(version) {
      if (!isTransientId(version.id)) shelf.touch(version.resource, { ...toPointer(version), usedAt: version.usedAt })
    },
    held: ({ id }) => held.get(id)?.source,
    async open(version, signal) {
      const object = lost.has(version.id) ? undefined : await shelf.open(version, signal)
      if (object !== undefined) return object
      // An operator has deleted it, or another node has a newer version: the next request to the host is unconditional.
      lost.set(version.id, true)
      throw new ChangedError()
    },
    sizeBytes: async ({ sizeBytes }) => sizeBytes,
    hashes: () => ['sha256'],
    isGenuine({ id, sha256 }, spooled) {
      if (sha256 === spooled.sha256) return true
      lost.set(id, true)
      return false
    },
    async findRendition(version, file, signal) {
      return isKept(version.id) ? await shelf.findRendition(version, shelfName(file), signal) : undefined
    },
    keepRendition(version, file, made) {
      if (isKept(version.id)) shelf.keepRendition(version, shelfName(file), made)
    },
    memoryBytes: ({ url, validators: { etag = '', lastModified = '' } }) =>
      ENTRY_BYTES + url.length + etag.length + lastModified.length,
    get pending() {
      return shelf.pending
    },
    stop: shelf.stop,
  }
}

type Held = LRUCache<string, Spooled>

function createHeld(maxBytes: number): Held {
  return new LRUCache({
    maxSize: maxBytes,
    sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
    ttl: HELD_MS,
    ttlAutopurge: true,
    dispose: (spooled) => void spooled.discard(),
  })
}

interface HostRequestOptions extends HostsOptions {
  readonly shelf: HostShelf
  readonly held: Held
}

/** The version that a host has. */
interface Asked {
  readonly version: LocatedRemote
  /** Whether the store got a new original: when it has been written. */
  readonly isAdded: Promise<boolean>
}

interface WantedBody {
  readonly url: string
  readonly known: RemoteValidators
  /** As in `OriginalSource`. */
  readonly begun?: (() => void) | undefined
}

const NOT_ADDED = Promise.resolve(false)

interface FetchedBody extends Omit<Extract<RemoteAnswer, { kind: 'body' }>, 'body'> {
  readonly spooled: Spooled
}

type Fetched = Extract<RemoteAnswer, { kind: 'unchanged' }> | FetchedBody

/** @returns a function that sends one request to a host, conditional if `known` is given, and keeps a new body. */
function createHostRequest(options: HostRequestOptions) {
  const { source, shelf, held, spool, engine, cache, now, staleIfErrorSeconds } = options
  // The version is named by the SHA-256.
  const hashes = options.store.checksMd5 ? (['sha256', 'md5'] as const) : (['sha256'] as const)
  const intake: Intake = { maxBytes: options.maxOriginalBytes, hashes }

  async function ask(
    ref: RemoteRef,
    known: LocatedRemote | undefined,
    signal: AbortSignal,
    begun?: () => void,
  ): Promise<Asked> {
    const checkedAt = now()
    const fetched = await fetch({ url: ref.url, known: known?.validators ?? {}, begun }, signal)
    const { freshSeconds, staleWhileRevalidateSeconds, staleIfError } = fetched.freshness
    const freshness = {
      freshSeconds,
      staleWhileRevalidateSeconds,
      staleIfErrorSeconds: staleIfError ? staleIfErrorSeconds : 0,
    }
    if (fetched.kind === 'body') {
      const version = versionOf(ref, fetched, { checkedAt, freshness })
      return await keep(version, fetched)
    }
    if (known === undefined)
      throw new RemoteError('remote_failed', 'The remote host responded with status 304 to an unconditional request')
    const validators = { ...known.validators, ...fetched.validators }
    const version = { ...known, checkedAt, freshness, validators }
    shelf.renew(version.resource, toPointer(version))
    return { version, isAdded: NOT_ADDED }
  }

  /** A body that may be stored goes to the disk. If the disk cannot take it, it is fetched once more, into memory. */
  async function fetch({ url, known, begun }: WantedBody, signal: AbortSignal): Promise<Fetched> {
    const answer = await source.fetch(url, known, signal)
    if (answer.kind === 'unchanged') return answer
    begun?.()
    const { body, ...head } = answer
    if (!head.freshness.storable) return { ...head, spooled: await spool.toMemory(body, intake, signal) }
    try {
      return { ...head, spooled: await spool.toDisk(body, intake, signal) }
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.code !== 'disk_unavailable') throw error
    }
    const again = await source.fetch(url, {}, signal)
    if (again.kind === 'unchanged') return again
    return { ...again, spooled: await spool.toMemory(again.body, intake, signal) }
  }

  /**
   * With the bytes on this disk the first view does not wait for the store. If neither can take them, memory holds them for a
   * while.
   */
  async function keep(version: LocatedRemote, { spooled, freshness }: FetchedBody): Promise<Asked> {
    const { source: bytes, sizeBytes } = spooled
    try {
      const format = await inspect(spooled)
      if (!freshness.storable) {
        held.set(version.id, spooled)
        return { version, isAdded: NOT_ADDED }
      }
      const path = 'path' in bytes ? await cache.adoptOriginal(version.id, bytes.path) : undefined
      if (path === undefined && 'bytes' in bytes) held.set(version.id, spooled)
      const isBehind = path !== undefined && shelf.hasRoom(sizeBytes)
      const original = { ...spooled, format, ...(path !== undefined && { source: { path } }) }
      const isAdded = shelf.keep(version, toPointer(version), original)
      if (!isBehind) await isAdded
      return { version, isAdded }
    } finally {
      if (held.peek(version.id) !== spooled) await spooled.discard()
    }
  }

  /** A page that says "not found" with status 200 is a failure of the host: the last version may still be served. */
  async function inspect({ source: bytes, head }: Spooled): Promise<InputFormat> {
    try {
      return (await engine.inspect(bytes, head)).format
    } catch (cause) {
      if (!(cause instanceof OriginalError) || cause.code !== 'original_unsupported') throw cause
      const message = 'The remote host responded with an unsupported image format or with no image'
      throw new RemoteError('remote_failed', message, { cause })
    }
  }

  return ask
}

function versionOf(
  ref: RemoteRef,
  { spooled: { sha256, sizeBytes }, freshness: { storable }, validators }: FetchedBody,
  terms: Pick<Version, 'checkedAt' | 'freshness'>,
): LocatedRemote {
  const resource = resourceId(ref)
  const id = storable ? versionId(resource, sha256) : transientId(resource, randomUUID())
  return { ...terms, id, resource, url: ref.url, sha256, sizeBytes, isFixed: false, validators, ...dated(validators) }
}

function toPointer({ url, sha256, sizeBytes, checkedAt, freshness, validators }: LocatedRemote): RemotePointer {
  return { url, sha256, sizeBytes, checkedAt, freshness, ...validators }
}

function fromPointer(resource: string, { etag, lastModified, ...pointer }: RemotePointer): LocatedRemote {
  const validators = { etag, lastModified }
  const id = versionId(resource, pointer.sha256)
  return { ...pointer, id, resource, isFixed: false, validators, ...dated(validators) }
}

function dated({ lastModified = '' }: RemoteValidators): Pick<Version, 'modifiedAt'> {
  const ms = Date.parse(lastModified)
  return Number.isNaN(ms) ? {} : { modifiedAt: new Date(ms) }
}
