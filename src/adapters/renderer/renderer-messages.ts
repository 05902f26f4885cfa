import type { ImageInfo } from '../../domain/info/image-info.ts'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { Plan } from '../../domain/picture/transform-plan.ts'
import { type ErrorCode, OriginalError, RequestError, ServiceError, UnavailableError } from '../../errors.ts'
import type { Reduced, Verified } from '../../service/ports/engine.ts'
import type { ObjectSource } from '../../service/ports/store.ts'
import type { SharpEngineOptions } from '../sharp/sharp-engine.ts'

/** A call of the engine, as data. */
export type RendererTask =
  | { readonly kind: 'inspect'; readonly source: ObjectSource }
  | {
      readonly kind: 'verify'
      readonly source: ObjectSource
      readonly facts: OriginalFacts
      readonly levels: readonly MezzanineLevel[] | undefined
    }
  | { readonly kind: 'measure'; readonly source: ObjectSource; readonly facts: OriginalFacts }
  | {
      readonly kind: 'reduce'
      readonly source: ObjectSource
      readonly facts: OriginalFacts
      readonly levels: readonly MezzanineLevel[]
    }
  | { readonly kind: 'render'; readonly source: ObjectSource; readonly plans: readonly Plan[] }

/** Messages to a renderer: first the settings, then one task at a time. */
export type RendererOrder = { readonly engine: SharpEngineOptions } | { readonly task: RendererTask }

/** The result of a task: one value, or for a render one for each plan. */
export type RendererValue =
  | { readonly kind: 'inspect'; readonly facts: OriginalFacts }
  | { readonly kind: 'verify'; readonly verified: Verified }
  | { readonly kind: 'measure'; readonly info: ImageInfo }
  | { readonly kind: 'reduce'; readonly reduced: readonly Reduced[] }
  | { readonly kind: 'render'; readonly bytes: Buffer }

export type RendererOutcome = { readonly value: RendererValue } | { readonly failure: RendererFailure }

/** Ready for tasks. Resident memory in bytes. */
export interface RendererReady {
  readonly kind: 'ready'
  readonly pipelineMtimeSeconds: number
  readonly residentBytes: number
}

/** Messages of a renderer. */
export type RendererReport = RendererReady | RendererPart

export interface RendererPart {
  readonly kind: 'part'
  /** Index of the plan, else 0. */
  readonly part: number
  readonly outcome: RendererOutcome
  /** Only with the last part of a task, which ends it. Resident memory in bytes. */
  readonly residentBytes?: number
}

/** An error as data: instances of a class lose it between processes. */
export type RendererFailure =
  | {
      readonly class: keyof typeof CLASSES
      readonly code: ErrorCode
      readonly message: string
      readonly cause?: string
    }
  | { readonly class: 'Error'; readonly message: string; readonly stack: string }

const CLASSES = { OriginalError, RequestError, UnavailableError } as const

export function toFailure(error: unknown): RendererFailure {
  if (!(error instanceof Error)) return { class: 'Error', message: String(error), stack: '' }
  const name = classOf(error)
  if (name === undefined || !(error instanceof ServiceError)) {
    return { class: 'Error', message: error.message, stack: error.stack ?? '' }
  }
  const { code, message, cause } = error
  return { class: name, code, message, ...(cause instanceof Error && { cause: cause.message }) }
}

/** The inverse of `toFailure`, as far as possible: the cause becomes an `Error` with the same message. */
export function fromFailure(failure: RendererFailure): Error {
  if (failure.class !== 'Error') {
    const { code, message, cause } = failure
    return new CLASSES[failure.class](code, message, cause === undefined ? {} : { cause: new Error(cause) })
  }
  const error = new Error(failure.message)
  // The original stack.
  if (failure.stack !== '') error.stack = failure.stack
  return error
}

function classOf(error: Error): keyof typeof CLASSES | undefined {
  if (error instanceof OriginalError) return 'OriginalError'
  if (error instanceof RequestError) return 'RequestError'
  return error instanceof UnavailableError ? 'UnavailableError' : undefined
}

/** Both ends are the same version of this program: checking the kind is enough. */
export function assertRendererOrder(message: unknown): asserts message is RendererOrder {
  if (typeof message !== 'object' || message === null || !('engine' in message || 'task' in message)) {
    throw new TypeError('A renderer must be started by a node')
  }
}

export function assertRendererReport(message: unknown): asserts message is RendererReport {
  if (typeof message !== 'object' || message === null || !('kind' in message)) {
    throw new TypeError('A renderer sent an unknown message')
  }
}
