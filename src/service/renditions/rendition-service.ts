import { LRUCache } from 'lru-cache'
import { isTransientId } from '../../domain/identity/image-id.ts'
import { negotiateFormat, pictureTraits } from '../../domain/picture/negotiate-format.ts'
import { expectedCost, withoutHurry } from '../../domain/picture/transform-plan.ts'
import type { FormatChoice, OutputFormat } from '../../domain/spec/image-format.ts'
import { assertSideLimit, formatSpec, type Spec } from '../../domain/spec/spec.ts'
import { formatOfFile, negotiatedFile, negotiatedFormats, renditionFile } from '../../domain/stored/cache-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { Place, Viewer } from '../load/admission.ts'

import type { WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { CachedFile, ImageCache, RenditionShelf } from '../ports/cache.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { createRememberedFailures } from '../tools/remembered-failures.ts'
import type { MezzanineService } from './mezzanine-service.ts'
import type { RenderBatcher } from './render-batch.ts'
import type { RenderTarget, SourceService } from './source-service.ts'

/** How a rendition was come by: known in memory, found on disk, made for somebody else, or made now. */
export type Tier = 'memory' | 'disk' | 'coalesced' | 'miss'

export interface Rendition extends CachedFile {
  readonly id: string
  readonly format: OutputFormat
  /** There if it could not be published, or is small, hot and not nginx's to send. */
  readonly bytes?: Buffer
  /** False if it exists only in `bytes`. */
  readonly published: boolean
  readonly tier: Tier
}

export interface Wanted {
  readonly id: string
  readonly spec: Spec
  /** A format, or who leaves it to us. */
  readonly as: OutputFormat | { readonly accept: FormatChoice }
  /** Don't trust memory where it says that there is a file: it was looked for and is gone. */
  readonly again?: boolean
  /** The request that waits for it. Absent: of no client in particular. */
  readonly viewer?: Viewer | undefined
  /** Nobody waits for it yet: it is made when the renderers have nothing else to do, to the fewest bytes. */
  readonly ahead?: boolean
}

export interface RenditionService {
  /** What is known without waiting for anything: a hit in memory. */
  remembered(wanted: Wanted): Rendition | undefined
  /**
   * Finds a rendition or makes it.
   * @throws RequestError, OriginalError, UnavailableError
   */
  rendition(wanted: Wanted, signal: AbortSignal): Promise<Rendition>
  /** Drops what memory holds of these images. */
  forget(ids: ReadonlySet<string>): void
  /** Renditions being made. */
  readonly flights: number
}

export interface RenditionServiceOptions {
  readonly cache: ImageCache
  readonly originals: OriginalService
  readonly mezzanines: MezzanineService
  readonly sources: SourceService
  readonly batcher: RenderBatcher
  readonly shelf: RenditionShelf
  readonly renderQueue: Pick<WorkQueue, 'enter'>
  readonly guard: DeletionGuard
  readonly now: () => number
  /** Entries of each table in memory at most, beside what has a budget of its own. */
  readonly maxRemembered: number
  /** Longest side, device pixels. */
  readonly maxSide: number
  /** Budget of the memory in front of the disk. */
  readonly memoryBytes: number
  /** Keep the bytes of small files in that memory: for a node that sends them itself. */
  readonly keepBytes: boolean
}

interface Target extends RenderTarget {
  readonly ahead: boolean
  /** Of a viewer. */
  readonly place: Place | undefined
}

type Known = Omit<Rendition, 'tier'> & { touchedAt: number }

/** What an entry weighs beside its bytes: strings, the object, the map's slot. */
const ENTRY_BYTES = 600
const SMALL_BYTES = 256 * 1024
/** Far below the two days that an idle file is kept at least. */
const TOUCH_MS = 3_600_000
/** While the disk takes nothing, memory alone stands between viewers and the renderer; then the disk is tried again. */
const UNPUBLISHED_MS = 30_000
const BROKEN_MS = 60_000

export function createRenditionService(options: RenditionServiceOptions): RenditionService {
  const { cache, originals, mezzanines, sources, batcher, renderQueue, shelf, guard, now, maxSide, keepBytes } = options
  const flights = createCoalescer<Known>()
  const memory = new LRUCache<string, Known>({
    maxSize: options.memoryBytes,
    sizeCalculation: ({ bytes }) => ENTRY_BYTES + (bytes?.length ?? 0),
  })

  const broken = createRememberedFailures(options)

  function remembered(wanted: Wanted): Rendition | undefined {
    const known = memory.get(keyOf(wanted))
    if (known === undefined || (wanted.again && known.published)) return undefined
    return isFresh(known) ? { ...known, tier: 'memory' } : undefined
  }

  async function rendition(wanted: Wanted, signal: AbortSignal): Promise<Rendition> {
    const key = keyOf(wanted)
    // What has no file can't have lost it: whoever says so would have it rendered each time.
    if (wanted.again && memory.peek(key)?.published) memory.delete(key)
    const known = memory.get(key)
    if (known && (isFresh(known) || (await isStillThere(known)))) return { ...known, tier: 'memory' }
    const reading = guard.begin(wanted.id)
    const found = await cache.find(wanted.id, fileNames(wanted))
    if (found) return { ...(await remember(key, wanted.id, found, reading)), tier: 'disk' }
    // Made, and its flight over, since the disk was looked at. Who has lost a file is not helped by what memory says.
    const made = wanted.again ? undefined : memory.get(key)
    if (made && made !== known) return { ...made, tier: 'coalesced' }
    assertSideLimit(wanted.spec, maxSide)
    // No viewer is to wait for what is made ahead.
    const flight = wanted.ahead ? `${key} ahead` : key
    const { value, joined } = await flights.run(flight, (flightSignal) => makeLasting(wanted, flightSignal), signal)
    return { ...value, tier: joined ? 'coalesced' : 'miss' }
  }

  function isFresh({ published, touchedAt }: Known): boolean {
    return !published || now() - touchedAt < TOUCH_MS
  }

  /** Renews the access time now and then, for files that are served without being read. */
  async function isStillThere(known: Known): Promise<boolean> {
    known.touchedAt = now()
    return await cache.touch(known.id, known)
  }

  async function remember(key: string, id: string, found: CachedFile, reading: GuardedWork): Promise<Known> {
    const format = formatOfFile(found.file)
    if (format === undefined) throw new TypeError(`${found.file} is not the name of a rendition`)
    const bytes = keepBytes && found.sizeBytes <= SMALL_BYTES ? await cache.read(id, found.file) : undefined
    const known = { id, format, ...found, ...(bytes && { bytes }), published: true, touchedAt: now() }
    reading.remember(() => memory.set(key, known))
    return known
  }

  /** What was deleted while it was made may have been uploaded again since: only the store knows. */
  async function makeLasting(wanted: Wanted, signal: AbortSignal): Promise<Known> {
    const attempt = guard.begin(wanted.id)
    try {
      return await make(wanted, signal)
    } catch (error) {
      if (!isDeleted(error) || !attempt.isInvalidated) throw error
    }
    return await make(wanted, signal)
  }

  async function make(wanted: Wanted, signal: AbortSignal): Promise<Known> {
    if (typeof wanted.as === 'object') return await makeNegotiated(wanted, wanted.as.accept, signal)
    const { id, spec, as: format, viewer, ahead = false } = wanted
    const work = guard.begin(id)
    const file = renditionFile(formatSpec(spec), format)
    const kept = await shelf.find(id, file, signal)
    const renderNow = () =>
      placed(wanted, format, (place) => renderSound(id, { spec, format, viewer, ahead, place }, signal))
    const bytes = kept ?? (await renderNow())
    if (kept === undefined) shelf.keep(id, file, { bytes, format })
    // A viewer was faster: what has been seen is not replaced.
    const seen = ahead ? await cache.find(id, [file]) : undefined
    if (seen) return await remember(keyOf(wanted), id, seen, work)
    // Another encoding of the same picture must have another ETag, even if it should be as long.
    const mtimeSeconds = cache.mtimeSeconds + (ahead ? 1 : 0)
    return await publish(keyOf(wanted), { id, file, format, bytes, mtimeSeconds }, work)
  }

  /**
   * Takes a place before anything is fetched, and keeps it until the rendering begins or the work has ended: who would be
   * refused in the end costs the store nothing.
   */
  async function placed<T>(
    { id, spec, viewer, ahead }: Wanted,
    format: OutputFormat | undefined,
    work: (place: Place | undefined) => Promise<T>,
  ): Promise<T> {
    if (ahead) return await work(undefined)
    // What will not be rendered in any case is no matter of load.
    const known = broken.get(id)
    if (known) throw known
    originals.remembered(id)
    const place = renderQueue.enter('viewer', { costMs: expectedCost(spec, format), viewer })
    try {
      return await work(place)
    } finally {
      place.leave()
    }
  }

  /** The rendition that is right for the class, made in its own flight, under one more name. */
  async function makeNegotiated(wanted: Wanted, accept: FormatChoice, signal: AbortSignal): Promise<Known> {
    const { id, spec } = wanted
    const work = guard.begin(id)
    const format = await placed(wanted, undefined, () => negotiate(wanted, accept, signal))
    const { viewer, again = false, ahead = false } = wanted
    const made = await rendition({ id, spec, as: format, viewer, again, ahead }, signal)
    const alias = negotiatedFile(formatSpec(spec), accept, format)
    const linked = made.published && (await work.publish(() => cache.link(id, made.file, alias)))
    if (!linked) return { ...made, touchedAt: now() }
    const known = { ...made, file: alias, touchedAt: now() }
    work.remember(() => memory.set(keyOf(wanted), known))
    return known
  }

  async function negotiate(
    { id, spec, viewer, ahead }: Wanted,
    accept: FormatChoice,
    signal: AbortSignal,
  ): Promise<OutputFormat> {
    const facts = await sources.facts(id, { spec, viewer }, signal)
    const traits = pictureTraits(spec, facts, maxSide)
    const best = negotiateFormat(accept, traits, false)
    const quick = negotiateFormat(accept, traits, true)
    if (best === quick || ahead) return best
    // Somebody has waited for it already, or nobody had to.
    return (await cache.find(id, [renditionFile(formatSpec(spec), best)])) ? best : quick
  }

  /** An original that is broken or gone may be this disk's fault: fetched anew, and checked, it is taken at its word. */
  async function renderSound(id: string, target: Target, signal: AbortSignal): Promise<Buffer> {
    const known = broken.get(id)
    if (known) throw known
    try {
      return await render(id, target, signal)
    } catch (error) {
      if (!isBroken(error) && !hasGone(error)) throw error
      await cache.hide([id])
      originals.forget(new Set([id]))
      mezzanines.forget(new Set([id]))
    }
    try {
      return await render(id, { ...target, fromOriginal: true }, signal)
    } catch (error) {
      if (isBroken(error)) broken.set(id, error, BROKEN_MS)
      throw error
    }
  }

  async function render(id: string, target: Target, signal: AbortSignal): Promise<Buffer> {
    try {
      return await renderOnce(id, target, signal)
    } catch (error) {
      if (!hasGone(error)) throw error
    }
    // Memory knew of a mezzanine that a sweep has taken.
    mezzanines.forget(new Set([id]))
    return await renderOnce(id, target, signal)
  }

  async function renderOnce(id: string, target: Target, signal: AbortSignal): Promise<Buffer> {
    const { source, key, plan, facts, from, cost } = await sources.prepare(id, target, signal)
    const job = target.ahead
      ? ({ plan: withoutHurry(plan, target.spec, facts.frames), priority: 'background' } as const)
      : ({ plan, priority: 'viewer', place: target.place, viewer: target.viewer } as const)
    const bytes = await batcher.render({ source, key, cost, ...job }, signal)
    if (from === 'original' && mezzanines.levels(facts).length > 0) void mezzanines.make(id)
    return bytes
  }

  interface Made {
    readonly id: string
    readonly file: string
    readonly format: OutputFormat
    readonly bytes: Buffer
    readonly mtimeSeconds: number
  }

  async function publish(key: string, made: Made, work: GuardedWork): Promise<Known> {
    const { id, file, format, bytes, mtimeSeconds } = made
    const mayKeep = !isTransientId(id)
    const published = await work.publish(() => mayKeep && cache.publish(id, file, bytes, mtimeSeconds))
    const keep = !published || (keepBytes && bytes.length <= SMALL_BYTES)
    const facts = { id, file, format, sizeBytes: bytes.length, mtimeSeconds }
    const known = { ...facts, published, touchedAt: now(), ...(keep && { bytes }) }
    if (mayKeep) work.remember(() => memory.set(key, known, published ? {} : { ttl: UNPUBLISHED_MS }))
    return known
  }

  return {
    remembered,
    rendition,
    forget(ids) {
      for (const [key, { id }] of memory.entries()) if (ids.has(id)) memory.delete(key)
    },
    get flights() {
      return flights.size
    },
  }
}

function isDeleted(error: unknown): boolean {
  return error instanceof OriginalError && error.code === 'original_deleted'
}

function isBroken(error: unknown): error is OriginalError {
  return error instanceof OriginalError && error.code === 'original_broken'
}

/** The disk of the cache lost the file between look-up and reading. */
function hasGone(error: unknown): boolean {
  return error instanceof UnavailableError && error.code === 'disk_unavailable'
}

function keyOf({ id, spec, as }: Wanted): string {
  const text = `${id}/${formatSpec(spec)}`
  return typeof as === 'object' ? `${text}/${as.accept}` : `${text}.${as}`
}

/** Under which names the answer may be on disk. */
function fileNames({ spec, as }: Wanted): string[] {
  const text = formatSpec(spec)
  if (typeof as !== 'object') return [renditionFile(text, as)]
  return negotiatedFormats(as.accept).map((format) => negotiatedFile(text, as.accept, format))
}
