import { isVersionId } from '../../domain/identity/image-id.ts'
import {
  likelyMezzanines,
  MEZZANINE_LEVELS,
  type MezzanineLevel,
  mezzanineFormat,
  mezzanineSize,
  mezzaninesFor,
  uprightFacts,
} from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { decodingCost, type Plan, planCost, planTransform } from '../../domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../domain/spec/image-format.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { UnavailableError } from '../../errors.ts'
import type { Viewer } from '../load/admission.ts'
import type { OriginalService, ReadyOriginal, WantedOriginal } from '../originals/fetch.ts'
import type { ObjectSource } from '../ports/store.ts'
import type { Mezzanine } from './mezzanine-shelf.ts'
import type { MezzanineService } from './mezzanines.ts'
import type { RenderCost } from './render.ts'

/** Finds the source of a rendition: the smallest mezzanine that gives as good a picture, or the original. */
export interface SourceService {
  /**
   * Facts of an original: from memory, a mezzanine or the original, in this order.
   * @param next The rendition to make. A mezzanine that is fetched for the facts is one that can be its source.
   * @throws OriginalError, UnavailableError
   */
  facts(id: string, next: NextRendition, signal: AbortSignal): Promise<OriginalFacts>
  /** @throws RequestError, OriginalError, UnavailableError */
  prepare(id: string, target: RenderTarget, signal: AbortSignal): Promise<Prepared>
}

export interface NextRendition {
  readonly spec: Spec
  /** The request that waits for it, if there is one. */
  readonly viewer?: Viewer | undefined
}

export interface RenderTarget extends NextRendition {
  readonly format: OutputFormat
  /** Use no mezzanine. */
  readonly fromOriginal?: boolean
}

/** A plan and its source. */
export interface Prepared {
  readonly source: ObjectSource
  readonly plan: Plan
  readonly facts: OriginalFacts
  readonly from: 'original' | 'mezzanine'
  /** Expected. */
  readonly cost: RenderCost
  /** Equal for plans of the same source. */
  readonly key: string
}

type Learned = Pick<ReadyOriginal, 'facts'> & Partial<ReadyOriginal>

export interface SourceServiceOptions {
  readonly originals: OriginalService
  readonly mezzanines: MezzanineService
  /** Longest side, device pixels. */
  readonly maxSide: number
}

export function createSourceService({ originals, mezzanines, maxSide }: SourceServiceOptions): SourceService {
  /** The facts, and the source of the original if it was brought to this node for them. */
  async function learn(id: string, next: NextRendition, signal: AbortSignal): Promise<Learned> {
    const known = originals.remembered(id) ?? (await factsOfMezzanine(id, next, signal))
    if (known === undefined) return await originals.ready({ id, viewer: next.viewer }, signal)
    originals.learn(id, known)
    return { facts: known }
  }

  /** Whether the store has no mezzanine, or is slower than the original on this node. */
  async function isStoreOfNoUse(id: string): Promise<boolean> {
    return isVersionId(id) || (await originals.isHere(id))
  }

  async function factsOfMezzanine(
    id: string,
    { spec, viewer }: NextRendition,
    signal: AbortSignal,
  ): Promise<OriginalFacts | undefined> {
    const here = await firstHere(id, MEZZANINE_LEVELS)
    if (here) return here.facts
    if (await isStoreOfNoUse(id)) return undefined
    return (await firstStored({ id, viewer }, likelyMezzanines(spec), signal))?.facts
  }

  async function firstStored(
    { id, viewer }: WantedOriginal,
    levels: readonly MezzanineLevel[],
    signal: AbortSignal,
  ): Promise<Mezzanine | undefined> {
    for (const level of levels) {
      const found = await mezzanines.find({ id, level, viewer }, signal)
      if (found) return found
    }
    return undefined
  }

  /**
   * The smallest of these levels, from this node or the store; or a larger one on this node if the store has none or fails. Of
   * images of earlier versions the store has the second one only.
   */
  async function bestOf(
    wanted: WantedOriginal,
    levels: readonly MezzanineLevel[],
    signal: AbortSignal,
  ): Promise<Mezzanine | undefined> {
    const { id } = wanted
    const [smallest, ...larger] = levels
    if (smallest === undefined) return undefined
    const here = await mezzanines.here(id, smallest)
    if (here) return here
    if (await isStoreOfNoUse(id)) return await firstHere(id, larger)
    try {
      return (await firstStored(wanted, levels.slice(0, 2), signal)) ?? (await firstHere(id, larger))
    } catch (error) {
      const instead = error instanceof UnavailableError ? await firstHere(id, larger) : undefined
      if (instead) return instead
      throw error
    }
  }

  async function firstHere(id: string, levels: readonly MezzanineLevel[]): Promise<Mezzanine | undefined> {
    for (const level of levels) {
      const here = await mezzanines.here(id, level)
      if (here) return here
    }
    return undefined
  }

  return {
    facts: async (id, next, signal) => (await learn(id, next, signal)).facts,
    async prepare(id, target, signal) {
      const { spec, format, viewer, fromOriginal = false } = target
      const { facts: known, source: brought } = await learn(id, target, signal)
      const plan = planTransform(spec, known, format, maxSide)
      const levels = fromOriginal ? [] : mezzaninesFor(plan, known, mezzanines.levels(known))
      const mezzanine = await bestOf({ id, viewer }, levels, signal)
      if (mezzanine) {
        const { source, level } = mezzanine
        const ofReduced = planTransform(spec, uprightFacts(known), format, maxSide)
        const reduced = { format: mezzanineFormat(known), stored: mezzanineSize(known, level) }
        const cost = { decodingMs: decodingCost(reduced, 1), encodingMs: planCost(ofReduced, 1) }
        return { source, plan: ofReduced, facts: known, from: 'mezzanine', key: `${id}/${level}`, cost }
      }
      const source = brought ?? (await originals.ready({ id, viewer }, signal)).source
      const { frames } = known
      const decodingMs = decodingCost(known, plan.animated ? frames : 1)
      const cost = { decodingMs, encodingMs: planCost(plan, frames) }
      return { source, plan, facts: known, from: 'original', key: id, cost }
    },
  }
}
