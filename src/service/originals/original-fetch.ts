import { OriginalError, ServiceError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { Spool, Spooled } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { OriginalHolder } from '../ports/originals.ts'
import type { ObjectSource, OpenObject } from '../ports/store.ts'
import { startTimeLimit } from '../tools/time-limit.ts'
import type { LocalOriginals } from './local-originals.ts'
import { createFirstByteBudget, openInTime, storeTooSlow } from './open-in-time.ts'

export interface WantedFetch {
  readonly id: string
  /** When the original was asked for, by `performance.now()`. */
  readonly asked: number
  readonly maxBytes: number
}

export interface OriginalFetchOptions {
  readonly holderOf: (id: string) => OriginalHolder
  readonly local: LocalOriginals
  readonly spool: Spool
  readonly guard: DeletionGuard
  readonly meter: Meter
  /** For one original, both attempts together. */
  readonly fetchTimeoutMs: number
  /** The holder says that there is no such original, or that it may not be read. */
  readonly onAbsence: (id: string, error: OriginalError) => void
}

/**
 * Fetches an original onto this node, checked against its id.
 * @returns a function that throws OriginalError, UnavailableError.
 */
export function createOriginalFetch(options: OriginalFetchOptions) {
  const { holderOf, local, spool, guard, meter, fetchTimeoutMs, onAbsence } = options
  const firstByte = createFirstByteBudget(() => performance.now())

  async function fetch({ id, asked, maxBytes }: WantedFetch, signal: AbortSignal): Promise<ObjectSource> {
    const began = performance.now()
    const work = guard.begin(id)
    const limit = startTimeLimit(signal, fetchTimeoutMs, storeTooSlow)
    try {
      const wanted = { id, maxBytes, withinMs: firstByte.withinMs(asked) }
      const kept = await local.keep(id, await fetchChecked(wanted, limit.signal), work)
      if (kept) return kept
      // The disk took the bytes, but not their move into the cache.
      const held = await local.keep(id, await fetchOnce(wanted, 'toMemory', limit.signal), work)
      if (held) return held
      throw new UnavailableError('disk_unavailable', 'The original could not be written to the local disk')
    } catch (error) {
      throw limit.isOver && !(error instanceof ServiceError) ? storeTooSlow(error) : error
    } finally {
      limit.stop()
      meter.fetched((performance.now() - began) / 1000)
    }
  }

  /** A body that is cut, stalls or is wrong may be right the next time: one more attempt, unless that happens all the time. */
  async function fetchChecked(wanted: Attempt, signal: AbortSignal): Promise<Spooled> {
    try {
      return await fetchOnce(wanted, 'toDisk', signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof UnavailableError)) throw error
      if (error.code === 'disk_unavailable') return await fetchOnce(wanted, 'toMemory', signal)
      if (!(error instanceof BodyError) || !error.takeRetry()) throw error
      return await fetchOnce(wanted, 'toDisk', signal)
    }
  }

  async function fetchOnce(wanted: Attempt, way: 'toDisk' | 'toMemory', signal: AbortSignal): Promise<Spooled> {
    const { id, maxBytes } = wanted
    const opened = await openOriginal(wanted, signal)
    const spooled = await spool[way](opened.body, maxBytes, signal).catch((error: unknown) => {
      if (error instanceof UnavailableError && error.code === 'store_unavailable') {
        throw new BodyError(error.message, opened, { cause: error })
      }
      throw error
    })
    if (holderOf(id).isGenuine(id, spooled)) return spooled
    await spooled.discard()
    meter.trouble(`The object store returned a damaged original of image ${id}`, undefined)
    throw new BodyError('The object store returned a damaged original', opened)
  }

  async function openOriginal({ id, withinMs }: Attempt, signal: AbortSignal): Promise<OpenObject> {
    try {
      const opened = await openInTime((within) => holderOf(id).open(id, within), withinMs, signal)
      firstByte.answered()
      return opened
    } catch (error) {
      if (error instanceof OriginalError) onAbsence(id, error)
      throw error
    }
  }

  return fetch
}

interface Attempt {
  readonly id: string
  readonly maxBytes: number
  /** For the store to begin its answer. */
  readonly withinMs: number
}

/** The body was truncated, stalled or corrupt, after the store had begun to respond. */
class BodyError extends UnavailableError {
  /** As of the object that was read. */
  readonly takeRetry: () => boolean
  constructor(message: string, { takeRetry = () => true }: OpenObject, options?: ErrorOptions) {
    super('store_unavailable', message, options)
    this.takeRetry = takeRetry
  }
}
