import type { AskedRef } from '../../domain/identity/image-id.ts'
import { expectedCost } from '../../domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../domain/spec/image-format.ts'
import { assertSideLimit, formatSpec } from '../../domain/spec/spec.ts'
import { renditionFile } from '../../domain/stored/cache-layout.ts'
import { ChangedError, InvalidatedError, OriginalError, UnavailableError } from '../../errors.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Place } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import { isMissing } from '../originals/absences.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { MadeRendition, RenditionShelf } from '../ports/cache.ts'
import type { Version } from '../ports/originals.ts'
import { type Coalescer, createCoalescer } from '../tools/coalesce.ts'
import type { LeftWork } from '../tools/left-work.ts'
import { createRememberedFailures, type RememberedFailures } from '../tools/memoize.ts'
import { type Attempt, createAttempts, RetryError, type Target } from './attempts.ts'
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
import { createProducer, type Producer, type ProducerOptions, type Production } from './produce.ts'

/** A picture that a client, or this node itself, asks for. */
export interface View extends Omit<RenditionName, 'id'>, Pick<Attempt, 'viewer' | 'ahead'> {
  /** `{ kind: 'image' }` with the id of a version names that version, without resolving it. */
  readonly original: AskedRef
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

export interface ViewServiceOptions extends LookUpOptions, ProducerOptions {
  readonly versions: Resolver
  readonly shelf: RenditionShelf
  /** Completes the renders that their requests have left. */
  readonly leftRenders: LeftWork
  readonly renderQueue: Pick<WorkQueue, 'enter'>
  /** Entries of the table of damaged originals. */
  readonly maxRemembered: number
}

/** The dependencies and the state that the steps below share. */
interface Stage extends ViewServiceOptions, Producer {
  readonly lookUp: RenditionLookUp
  readonly flights: Coalescer<Known>
  /** Originals that cannot be decoded. */
  readonly broken: RememberedFailures
}

export function createViewService(options: ViewServiceOptions): ViewService {
  const lookUp = createLookUp(options)
  const flights = createCoalescer<Known>(isMissing, options.leftRenders)
  const broken = createRememberedFailures(options)
  const stage = { ...options, ...createProducer({ ...options, broken }), lookUp, flights, broken }
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
  const { value, joined } = await stage.flights.run(key, (...flight) => make(stage, attempt, ...flight), signal)
  return { ...value, tier: joined ? 'coalesced' : 'miss' }
}

/** @param begun Called when the render begins: then it is completed, even if all requests for it have been canceled. */
async function make(stage: Stage, attempt: Attempt, signal: AbortSignal, begun: () => void): Promise<Known> {
  const work = stage.guard.begin(attempt.id)
  try {
    const { as } = attempt
    if (typeof as === 'object') return await makeNegotiated(stage, { ...attempt, as }, work, signal)
    return await makeRendition(stage, { ...attempt, as }, { work, begun }, signal)
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
  const { accept } = attempt.as
  const { as, kept } = await admitted(stage, attempt, undefined, () => stage.chooseFormat(attempt, accept, signal))
  const made = await findOrMake(stage, { ...attempt, as, ...(kept && { kept }) }, signal)
  return await stage.lookUp.link(attempt, made, work)
}

/** Fetches the rendition from the store, or renders it; then publishes it. */
async function makeRendition(
  stage: Stage,
  target: Target,
  { work, begun }: Omit<Production, 'place'>,
  signal: AbortSignal,
): Promise<Known> {
  const { lookUp, shelf, cache, produce } = stage
  const { id, spec, as: format, ahead = false } = target
  const file = renditionFile(formatSpec(spec), format)
  const shelved = target.kept ? undefined : await shelf.find(id, file, signal)
  const kept = target.kept ?? (shelved && { bytes: shelved, format })
  const bring = (place: Place | undefined) => produce(target, { place, work, begun }, signal)
  const { bytes, primed = false }: MadeRendition = kept ?? (await admitted(stage, target, format, bring))
  if (kept === undefined) shelf.keep(id, file, { bytes, format })
  // A request may have been faster than the render ahead. A picture that a client has seen is not replaced.
  const seen = ahead ? await lookUp.findOnDisk(target, work) : undefined
  if (seen) return seen
  // A render ahead has other bytes than a render for a client, so its ETag must differ even if the sizes are equal.
  const mtimeSeconds = cache.mtimeSeconds + (primed ? 1 : 0)
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
