import { LRUCache } from 'lru-cache'
import { isTransientId } from '../../domain/identity/image-id.ts'
import type { FormatChoice, OutputFormat } from '../../domain/spec/image-format.ts'
import { formatSpec, type Spec } from '../../domain/spec/spec.ts'
import { formatOfFile, negotiatedFile, negotiatedFormats, renditionFile } from '../../domain/stored/cache-layout.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { CachedFile, ImageCache } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'

/** Cache status of a rendition: found in memory, found on disk, rendered for another request, or rendered for this one. */
export type Tier = 'memory' | 'disk' | 'coalesced' | 'miss'

export interface Rendition extends CachedFile {
  readonly id: string
  readonly format: OutputFormat
  /** Present if the rendition could not be published, or is small and this process sends it. */
  readonly bytes?: Buffer
  /** False if it exists only in `bytes`. */
  readonly published: boolean
  readonly tier: Tier
}

/** Names a rendition in memory and on disk. */
export interface RenditionName {
  readonly id: string
  readonly spec: Spec
  /** A format, or the class of clients for which the node chooses one. */
  readonly as: OutputFormat | { readonly accept: FormatChoice }
  /** True: the file was not found a moment ago, so an entry in memory does not count. */
  readonly again?: boolean
}

/** The name of the rendition for a class of clients. */
export interface NegotiatedName extends RenditionName {
  readonly as: { readonly accept: FormatChoice }
}

/** An entry in memory. */
export type Known = Omit<Rendition, 'tier'> & { touchedAt: number }

/** A rendition that was just rendered. */
export interface Rendered {
  readonly id: string
  readonly file: string
  readonly format: OutputFormat
  readonly bytes: Buffer
  /** Whole seconds since 1970. */
  readonly mtimeSeconds: number
}

/** The renditions that exist: on disk, with an in-memory cache in front of it. */
export interface RenditionLookUp {
  /** A hit in memory, without waiting. */
  remembered(name: RenditionName): Rendition | undefined
  /** A hit in memory or on disk. Renews the access time of files that are served from memory. */
  find(name: RenditionName): Promise<Rendition | undefined>
  /** On disk, or about to be. */
  findOnDisk(name: RenditionName, work: GuardedWork): Promise<Known | undefined>
  /** Writes a rendition to the disk and to memory. @throws OriginalError `original_deleted` */
  publish(name: RenditionName, rendered: Rendered, work: GuardedWork): Promise<Known>
  /** Publishes a rendition under the name that its negotiated URL has. @throws OriginalError `original_deleted` */
  link(name: NegotiatedName, made: Rendition, work: GuardedWork): Promise<Known>
  /** Drops the entries of these images. */
  forget(ids: ReadonlySet<string>): void
  /** Renditions that are published in the background. */
  readonly pending: number
}

export interface LookUpOptions {
  readonly cache: ImageCache
  readonly guard: DeletionGuard
  readonly meter: Meter
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Limit of the in-memory cache. */
  readonly memoryBytes: number
  /** Keep the bytes of small files in memory: for a node without nginx. */
  readonly keepBytes: boolean
}

/** Weight of an entry without its bytes: strings, the object, the slot of the map. */
const ENTRY_BYTES = 600
const SMALL_BYTES = 256 * 1024
/** Far below the two days after which an idle file may be evicted. */
const TOUCH_MS = 3_600_000
/** Lifetime of a rendition that the disk did not take. After it, the disk is tried again. */
const UNPUBLISHED_MS = 30_000

export function createLookUp(options: LookUpOptions): RenditionLookUp {
  const { cache, guard, now, memoryBytes, keepBytes } = options
  const memory = new LRUCache<string, Known>({
    maxSize: memoryBytes,
    sizeCalculation: ({ bytes }) => ENTRY_BYTES + (bytes?.length ?? 0),
  })
  const publishing = publishingTo(memory, options)
  const isFresh = ({ published, touchedAt }: Known) => !published || now() - touchedAt < TOUCH_MS

  async function isStillThere(known: Known): Promise<boolean> {
    known.touchedAt = now()
    return await cache.touch(known.id, known)
  }

  async function findOnDisk(name: RenditionName, work: GuardedWork): Promise<Known | undefined> {
    const { id } = name
    const waiting = memory.peek(keyOf(name))
    if (waiting?.published === false) return waiting
    const found = await cache.find(id, fileNames(name))
    if (found === undefined) return undefined
    const format = formatOfFile(found.file)
    if (format === undefined) throw new TypeError(`${found.file} is not the name of a rendition`)
    const bytes = keepBytes && found.sizeBytes <= SMALL_BYTES ? await cache.read(id, found.file) : undefined
    const known = { id, format, ...found, ...(bytes && { bytes }), published: true, touchedAt: now() }
    work.remember(() => memory.set(keyOf(name), known))
    return known
  }

  return {
    remembered(name) {
      const known = memory.get(keyOf(name))
      if (known === undefined || (name.again && known.published)) return undefined
      return isFresh(known) ? { ...known, tier: 'memory' } : undefined
    },
    async find(name) {
      const key = keyOf(name)
      // An unpublished rendition has no file that could be gone.
      if (name.again && memory.peek(key)?.published) memory.delete(key)
      const known = memory.get(key)
      if (known && (isFresh(known) || (await isStillThere(known)))) return { ...known, tier: 'memory' }
      const found = await findOnDisk(name, guard.begin(name.id))
      if (found) return { ...found, tier: 'disk' }
      // Another request may have rendered it during the look at the disk.
      const made = name.again ? undefined : memory.get(key)
      return made && made !== known ? { ...made, tier: 'coalesced' } : undefined
    },
    findOnDisk,
    publish: publishing.publish,
    link: publishing.link,
    get pending() {
      return publishing.pending
    },
    forget(ids) {
      for (const [key, { id }] of memory.entries()) if (ids.has(id)) memory.delete(key)
    },
  }
}

/** The writing half of `RenditionLookUp`. */
function publishingTo(
  memory: LRUCache<string, Known>,
  { cache, meter, now, keepBytes }: LookUpOptions,
): Pick<RenditionLookUp, 'publish' | 'link' | 'pending'> {
  /** Renditions that are published in the background: their entries, once they have files. */
  const waiting = new Map<string, Promise<Known | undefined>>()

  /** Never rejects. @returns whether there is a file. */
  async function inBackground(put: () => boolean | Promise<boolean>, work: GuardedWork): Promise<boolean> {
    let isThere = false
    try {
      const isKept = await work.tryPublish(async () => {
        isThere = await put()
      })
      return isKept && isThere
    } catch (error) {
      meter.trouble('A rendition could not be published', error)
      return false
    }
  }

  function remember(key: string, known: Known, work: GuardedWork): Known {
    work.remember(() => memory.set(key, known, known.published ? {} : { ttl: UNPUBLISHED_MS }))
    return known
  }

  return {
    get pending() {
      return waiting.size
    },
    async publish(name, { bytes, ...file }, work) {
      const key = keyOf(name)
      const mayKeep = !isTransientId(file.id)
      const put = () => mayKeep && cache.publish(file.id, file.file, bytes, file.mtimeSeconds)
      const entry = (published: boolean): Known => {
        const keep = !published || (keepBytes && bytes.length <= SMALL_BYTES)
        return { ...file, sizeBytes: bytes.length, published, touchedAt: now(), ...(keep && { bytes }) }
      }
      if (!mayKeep || !cache.isBusy || work.isInvalidated) {
        const known = entry(await work.publish(put))
        return mayKeep ? remember(key, known, work) : known
      }
      // The client does not wait for the disk: it receives the bytes, and so does every request until there is a file.
      const publishing: Promise<Known | undefined> = inBackground(put, work).then((isThere) => {
        if (waiting.get(key) === publishing) waiting.delete(key)
        return isThere ? remember(key, entry(true), work) : undefined
      })
      waiting.set(key, publishing)
      return remember(key, entry(false), work)
    },
    async link({ as, ...name }, made, work) {
      const key = keyOf({ ...name, as })
      const alias = negotiatedFile(formatSpec(name.spec), as.accept, made.format)
      const put = () => cache.link(made.id, made.file, alias)
      const soon = made.published ? undefined : waiting.get(keyOf({ ...name, as: made.format }))
      void soon?.then(async (known) => {
        if (known && (await inBackground(put, work))) remember(key, { ...known, file: alias }, work)
      })
      if (soon) return remember(key, { ...made, touchedAt: now() }, work)
      const isLinked = made.published && (await work.publish(put))
      if (!isLinked) return { ...made, touchedAt: now() }
      return remember(key, { ...made, file: alias, touchedAt: now() }, work)
    },
  }
}

/** The same for requests that one rendition answers. */
export function keyOf({ id, spec, as }: RenditionName): string {
  const text = `${id}/${formatSpec(spec)}`
  return typeof as === 'object' ? `${text}/${as.accept}` : `${text}.${as}`
}

/** The names that the rendition may have on disk, the most probable first. */
function fileNames({ spec, as }: RenditionName): string[] {
  const text = formatSpec(spec)
  if (typeof as !== 'object') return [renditionFile(text, as)]
  return negotiatedFormats(as.accept).map((format) => negotiatedFile(text, as.accept, format))
}
