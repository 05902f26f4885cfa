import { mezzaninesFor } from '../../domain/picture/mezzanine.ts'
import { negotiateFormat, pictureTraits } from '../../domain/picture/negotiate-format.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { planCost, planTransform, withoutHurry } from '../../domain/picture/transform-plan.ts'
import type { FormatChoice, OutputFormat } from '../../domain/spec/image-format.ts'
import { formatSpec } from '../../domain/spec/spec.ts'
import { renditionFile } from '../../domain/stored/cache-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Place } from '../load/admission.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { ImageCache, MadeRendition } from '../ports/cache.ts'
import type { RememberedFailures } from '../tools/memoize.ts'
import { type Attempt, RetryError, type Target } from './attempts.ts'
import type { MezzanineDemand } from './mezzanine-demand.ts'
import type { MezzanineService } from './mezzanines.ts'
import type { RenderBatcher } from './render.ts'
import type { SharedRenditions } from './shared-renditions.ts'
import type { Prepared, SourceService } from './source.ts'

/** Brings a rendition that is not on this node: from the store, or by rendering it. */
export interface Producer {
  /** @throws RequestError, OriginalError, UnavailableError; RetryError after a damaged source was removed. */
  produce(target: Target, work: Production, signal: AbortSignal): Promise<MadeRendition>
  /**
   * The format for a class of clients. A format that takes long is chosen if it exists already, or if no client waits.
   * @throws OriginalError, UnavailableError
   */
  chooseFormat(attempt: Attempt, accept: FormatChoice, signal: AbortSignal): Promise<ChosenFormat>
}

export interface Production {
  /** In the render queue, for a request. */
  readonly place: Place | undefined
  /** From before the first read. */
  readonly work: GuardedWork
  /** Called when the render begins: from then on it is worth completing. */
  readonly begun: () => void
}

export interface ChosenFormat {
  readonly as: OutputFormat
  /** The rendition in this format, if another node has made it. */
  readonly kept?: MadeRendition | undefined
}

export interface ProducerOptions {
  readonly cache: ImageCache
  readonly originals: OriginalService
  readonly mezzanines: MezzanineService
  readonly demand: MezzanineDemand
  readonly sources: SourceService
  readonly batcher: RenderBatcher
  readonly shared: SharedRenditions
  /** Longest side, device pixels. */
  readonly maxSide: number
}

interface Stage extends ProducerOptions {
  /** Originals that cannot be decoded. */
  readonly broken: RememberedFailures
}

/** How long a damaged original is remembered. */
const BROKEN_MS = 60_000

export function createProducer(stage: Stage): Producer {
  const { cache, originals, sources, shared, maxSide } = stage

  /**
   * Looks in the store before the source is fetched if the size is primed, or the facts in memory tell that the rendition is
   * costly; else when the source has told. So a rendition that is cheap costs no look.
   */
  async function produce(target: Target, production: Production, signal: AbortSignal): Promise<MadeRendition> {
    const { id, spec, as: format, viewer, fromOriginal } = target
    const { work } = production
    const known = originals.remembered(id)
    const isEarly = shared.covers(target, known && costOf(target, known, maxSide))
    const early = isEarly ? await shared.find(target, viewer, signal) : undefined
    if (early) return early
    try {
      const prepared = await sources.prepare(id, { spec, format, viewer, fromOriginal }, signal)
      const isCovered = shared.covers(target, costOfNext(stage, prepared))
      const late = isCovered && !isEarly ? await shared.find(target, viewer, signal) : undefined
      if (late) return late
      const made = await render(stage, target, { ...production, prepared }, signal)
      if (isCovered) shared.keep(target, made, work)
      return made
    } catch (error) {
      throw await repair(stage, target, error)
    }
  }

  return {
    produce,
    async chooseFormat(attempt, accept, signal) {
      const { id, spec, viewer, ahead } = attempt
      const facts = await sources.facts(id, { spec, viewer }, signal)
      const traits = pictureTraits(spec, facts, maxSide)
      const best = negotiateFormat(accept, traits, false)
      const quick = negotiateFormat(accept, traits, true)
      if (best === quick || ahead) return { as: best }
      if (await cache.find(id, [renditionFile(formatSpec(spec), best)])) return { as: best }
      const isCovered = shared.covers(attempt, costOf({ spec, as: best }, facts, maxSide))
      const kept = isCovered ? await shared.find({ id, spec, as: best }, viewer, signal) : undefined
      return kept ? { as: best, kept } : { as: quick }
    },
  }
}

/** Cost of encoding only, as the source is not known yet. A drawing may take any time, whatever its size. */
function costOf({ spec, as }: Pick<Target, 'spec' | 'as'>, facts: OriginalFacts, maxSide: number): number {
  const plan = planTransform(spec, facts, as, maxSide)
  return plan.drawing ? Infinity : planCost(plan, facts.frames)
}

/** Cost of rendering it once more: then a mezzanine is there if there can be one. */
function costOfNext(stage: Stage, prepared: Prepared): number {
  const { plan, cost } = prepared
  if (plan.drawing) return Infinity
  return cost.encodingMs + (isMezzanineMissed(stage, prepared) ? 0 : cost.decodingMs)
}

function isMezzanineMissed({ mezzanines }: Stage, { from, plan, facts }: Prepared): boolean {
  return from === 'original' && mezzaninesFor(plan, facts, mezzanines.levels(facts)).length > 0
}

/** Renders, together with other renditions that wait for the same source. */
async function render(
  stage: Stage,
  { id, spec, as: format, viewer, ahead = false }: Target,
  { place, begun, prepared }: Production & { readonly prepared: Prepared },
  signal: AbortSignal,
): Promise<MadeRendition> {
  const { source, key, plan, facts, cost } = prepared
  const job = ahead
    ? ({ plan: withoutHurry(plan, spec, facts.frames), priority: 'background' } as const)
    : ({ plan, priority: 'viewer', place, viewer } as const)
  const bytes = await stage.batcher.render({ source, key, cost, begun, ...job }, signal)
  const isDue = isMezzanineMissed(stage, prepared) && stage.demand.isDue(id, formatSpec(spec), facts.stored)
  if (isDue) void stage.mezzanines.make(id)
  return { bytes, format, primed: ahead }
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
