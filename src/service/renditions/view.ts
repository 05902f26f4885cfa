import type { AskedRef } from '../../domain/identity/image-id.ts'
import { mezzaninesFor } from '../../domain/picture/mezzanine.ts'
import { negotiateFormat, pictureTraits } from '../../domain/picture/negotiate-format.ts'
import { expectedCost, withoutHurry } from '../../domain/picture/transform-plan.ts'
import type { FormatChoice, OutputFormat } from '../../domain/spec/image-format.ts'
import { assertSideLimit, formatSpec } from '../../domain/spec/spec.ts'
import { renditionFile } from '../../domain/stored/cache-layout.ts'
import { ChangedError, InvalidatedError, OriginalError, UnavailableError } from '../../errors.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Place, Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import { isMissing } from '../originals/absences.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { RenditionShelf } from '../ports/cache.ts'
import type { Version } from '../ports/originals.ts'
import { type Coalescer, createCoalescer } from '../tools/coalesce.ts'
import { createRememberedFailures, type RememberedFailures } from '../tools/memoize.ts'
import { createAttempts, RetryError } from './attempts.ts'
import {
  createLookUp,
  type Known,
  keyOf,
  type LookUpOptions,
  type NegotiatedName,
  type Rendition,
  type RenditionLookUp,
  type RenditionName,
} from './look-up.ts'
import type { MezzanineDemand } from './mezzanine-demand.ts'
import type { MezzanineService } from './mezzanines.ts'
import type { RenderBatcher } from './render.ts'
import type { SourceService } from './source.ts'

/** A picture that a client, or this node itself, asks for. */
export interface View extends Omit<RenditionName, 'id'> {
  /** `{ kind: 'image' }` with the id of a version names that version, without resolving it. */
  readonly original: AskedRef
  /** The request that waits for it, if there is one. */
  readonly viewer?: Viewer | undefined
  /** No request waits for it yet: it is rendered while the renderers are idle, to the fewest bytes. */
  readonly ahead?: boolean
}

/** Answers a request with the rendition. @returns false if its file is gone. */
export type Answer = (rendition: Rendition, version?: Version) => boolean | Promise<boolean>

/** From a request to bytes. */
export interface ViewService {
  /** A hit in memory, without waiting. */
  remembered(name: RenditionName): Rendition | undefined
  /**
   * Finds a rendition or renders it, and answers with it.
   * @throws RequestError, OriginalError, RemoteError, UnavailableError
   */
  view(view: View, answer: Answer, signal: AbortSignal): Promise<Rendition>
  /** Drops the entries of these images in memory. */
  forget(ids: ReadonlySet<string>): void
  /** Renditions in progress. */
  readonly flights: number
  /** Renditions that are published in the background. */
  readonly pending: number
}

export interface ViewServiceOptions extends LookUpOptions {
  readonly versions: Resolver
  readonly originals: OriginalService
  readonly mezzanines: MezzanineService
  readonly demand: MezzanineDemand
  readonly sources: SourceService
  readonly batcher: RenderBatcher
  readonly shelf: RenditionShelf
  readonly renderQueue: Pick<WorkQueue, 'enter'>
  /** Entries of the table of damaged originals. */
  readonly maxRemembered: number
  /** Longest side, device pixels. */
  readonly maxSide: number
}

/** The dependencies and the state that the steps below share. */
interface Stage extends ViewServiceOptions {
  readonly lookUp: RenditionLookUp
  readonly flights: Coalescer<Known>
  /** Originals that cannot be decoded. */
  readonly broken: RememberedFailures
}

export function createViewService(options: ViewServiceOptions): ViewService {
  const lookUp = createLookUp(options)
  const flights = createCoalescer<Known>(isMissing)
  const stage = { ...options, lookUp, flights, broken: createRememberedFailures(options) }
  return {
    remembered: lookUp.remembered,
    view: (view, answer, signal) => repeat(stage, view, answer, signal),
    forget(ids) {
      lookUp.forget(ids)
      options.demand.forget(ids)
    },
    get flights() {
      return flights.size
    },
    get pending() {
      return lookUp.pending
    },
  }
}

/** How long a damaged original is remembered. */
const BROKEN_MS = 60_000

/** One attempt at a view, on one version of its original. */
interface Attempt extends RenditionName, Pick<View, 'viewer' | 'ahead'> {
  /** An earlier attempt found a file gone. */
  readonly fileWasGone: boolean
  /** Render from the original, not from a mezzanine: an earlier attempt found a damaged source. */
  readonly fromOriginal: boolean
}

/** An attempt at a rendition whose format is known. */
interface Target extends Attempt {
  readonly as: OutputFormat
}

/** Repeats the attempt for the reasons of `ATTEMPTS`. */
async function repeat(stage: Stage, view: View, answer: Answer, signal: AbortSignal): Promise<Rendition> {
  const attempts = createAttempts()
  let outdatedId: string | undefined
  for (;;) {
    try {
      const { original, again = false, ...rest } = view
      const resolved = await stage.versions.resolve(original, signal)
      const { id } = resolved
      if (resolved.version) view.viewer?.found?.()
      const fileWasGone = attempts.hadFailed('file_gone')
      const fromOriginal = attempts.hadFailed('source_damaged')
      const attempt = { ...rest, id, again: again || fileWasGone, fileWasGone, fromOriginal }
      const rendition = await findOrMake(stage, attempt, signal)
      // A request that waited gets no older picture than one that arrives now.
      const isOutdated = resolved.isOutdated() && id !== outdatedId
      outdatedId = id
      if (isOutdated && attempts.mayRepeat('original_changed')) continue
      if (await answer(rendition, resolved.version)) return rendition
      throw new RetryError('file_gone', new UnavailableError('disk_unavailable', 'The cache disk failed; try again'))
    } catch (error) {
      const hasChanged = error instanceof ChangedError && view.original.kind !== 'image'
      const reason = hasChanged ? 'original_changed' : error instanceof RetryError ? error.reason : undefined
      if (reason === undefined || !attempts.mayRepeat(reason)) throw error instanceof RetryError ? error.cause : error
      if (hasChanged) stage.versions.expire(view.original)
    }
  }
}

/** Looks the rendition up. A rendition that does not exist is made once for all requests that wait for it. */
async function findOrMake(stage: Stage, attempt: Attempt, signal: AbortSignal): Promise<Rendition> {
  const found = await stage.lookUp.find(attempt)
  if (found) return found
  assertSideLimit(attempt.spec, stage.maxSide)
  const { ahead = false, fromOriginal } = attempt
  // A request must not wait for a render ahead, nor share the damaged source of another attempt.
  const key = `${keyOf(attempt)}${ahead ? ' ahead' : ''}${fromOriginal ? ' from original' : ''}`
  const { value, joined } = await stage.flights.run(key, (within) => make(stage, attempt, within), signal)
  return { ...value, tier: joined ? 'coalesced' : 'miss' }
}

async function make(stage: Stage, attempt: Attempt, signal: AbortSignal): Promise<Known> {
  const work = stage.guard.begin(attempt.id)
  try {
    const { as } = attempt
    if (typeof as === 'object') return await makeNegotiated(stage, { ...attempt, as }, work, signal)
    return await makeRendition(stage, { ...attempt, as }, work, signal)
  } catch (error) {
    const isDeleted = error instanceof OriginalError && error.code === 'original_deleted'
    // The error may be that of a fetch that others began before.
    const mayExist = error instanceof InvalidatedError || (isDeleted && work.isInvalidated)
    if (mayExist) throw new RetryError('invalidated', error)
    throw error
  }
}

/** Makes the rendition in the format for this class of clients, and links it under the name of the class. */
async function makeNegotiated(
  stage: Stage,
  attempt: Attempt & NegotiatedName,
  work: GuardedWork,
  signal: AbortSignal,
): Promise<Known> {
  const as = await admitted(stage, attempt, undefined, () => chooseFormat(stage, attempt, attempt.as.accept, signal))
  const made = await findOrMake(stage, { ...attempt, as }, signal)
  return await stage.lookUp.link(attempt, made, work)
}

/** Fetches the rendition from the store, or renders it; then publishes it. */
async function makeRendition(stage: Stage, target: Target, work: GuardedWork, signal: AbortSignal): Promise<Known> {
  const { lookUp, shelf, cache } = stage
  const { id, spec, as: format, ahead = false } = target
  const file = renditionFile(formatSpec(spec), format)
  const kept = await shelf.find(id, file, signal)
  const bytes = kept ?? (await admitted(stage, target, format, (place) => render(stage, target, place, signal)))
  if (kept === undefined) shelf.keep(id, file, { bytes, format })
  // A request may have been faster than the render ahead. A picture that a client has seen is not replaced.
  const seen = ahead ? await lookUp.findOnDisk(target, work) : undefined
  if (seen) return seen
  // A render ahead has other bytes than a render for a client, so its ETag must differ even if the sizes are equal.
  const mtimeSeconds = cache.mtimeSeconds + (ahead ? 1 : 0)
  return await lookUp.publish(target, { id, file, format, bytes, mtimeSeconds }, work)
}

/**
 * Takes a place in the render queue before anything is fetched, so that a refused request costs the store nothing. The place
 * is kept until the render begins or the work ends.
 * @throws UnavailableError `overloaded`
 */
async function admitted<T>(
  { broken, originals, renderQueue }: Stage,
  { id, spec, viewer, ahead }: Attempt,
  format: OutputFormat | undefined,
  work: (place: Place | undefined) => Promise<T>,
): Promise<T> {
  // Known failures are answered regardless of the load.
  const failure = broken.get(id)
  if (failure) throw failure
  if (ahead) return await work(undefined)
  originals.assertNotAbsent(id)
  const place = renderQueue.enter('viewer', { costMs: expectedCost(spec, format), viewer })
  try {
    return await work(place)
  } finally {
    place.leave()
  }
}

async function chooseFormat(
  { sources, cache, maxSide }: Stage,
  { id, spec, viewer, ahead }: Attempt,
  accept: FormatChoice,
  signal: AbortSignal,
): Promise<OutputFormat> {
  const facts = await sources.facts(id, { spec, viewer }, signal)
  const traits = pictureTraits(spec, facts, maxSide)
  const best = negotiateFormat(accept, traits, false)
  const quick = negotiateFormat(accept, traits, true)
  if (best === quick || ahead) return best
  // The slow format is used if it exists already.
  return (await cache.find(id, [renditionFile(formatSpec(spec), best)])) ? best : quick
}

/** Fetches the source and renders, together with other renditions that wait for the same source. */
async function render(stage: Stage, target: Target, place: Place | undefined, signal: AbortSignal): Promise<Buffer> {
  const { sources, batcher, mezzanines, demand } = stage
  const { id, spec, as: format, viewer, ahead, fromOriginal } = target
  try {
    const wanted = { spec, format, viewer, fromOriginal }
    const { source, key, plan, facts, from, cost } = await sources.prepare(id, wanted, signal)
    const job = ahead
      ? ({ plan: withoutHurry(plan, spec, facts.frames), priority: 'background' } as const)
      : ({ plan, priority: 'viewer', place, viewer } as const)
    const bytes = await batcher.render({ source, key, cost, ...job }, signal)
    const isMissed = from === 'original' && mezzaninesFor(plan, facts, mezzanines.levels(facts)).length > 0
    if (isMissed && demand.isDue(id, formatSpec(spec), facts.stored)) void mezzanines.make(id)
    return bytes
  } catch (error) {
    throw await repair(stage, target, error)
  }
}

/**
 * Removes a source that could not be read or decoded. A file that is gone is first looked for again, then counts as damaged.
 * @returns the error to throw.
 */
async function repair(stage: Stage, { id, fileWasGone, fromOriginal }: Target, error: unknown): Promise<unknown> {
  const { cache, originals, mezzanines, broken } = stage
  const isBroken = error instanceof OriginalError && error.code === 'original_broken'
  const isGone = error instanceof UnavailableError && error.code === 'disk_unavailable'
  if (!isBroken && !isGone) return error
  const ids = new Set([id])
  if (isGone && !fileWasGone) {
    // Most often an entry in memory of a mezzanine that a sweep has deleted.
    mezzanines.forget(ids)
    return new RetryError('file_gone', error)
  }
  if (fromOriginal) {
    // The store has these very bytes.
    if (isBroken) broken.set(id, error, BROKEN_MS)
    return error
  }
  await cache.hide(ids)
  originals.forget(ids)
  mezzanines.forget(ids)
  return new RetryError('source_damaged', error)
}
