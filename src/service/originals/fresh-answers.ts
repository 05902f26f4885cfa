import { LRUCache } from 'lru-cache'
import { type Freshness, judgeAge } from '../../domain/caching/picture-caching.ts'
import { isResourceId } from '../../domain/identity/image-id.ts'
import { OriginalError, RemoteError, type ServiceError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import { createBackground } from '../tools/background.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { memoryBounds } from '../tools/memoize.ts'
import { createRememberedFailures } from '../tools/remembered-failures.ts'

/** What somebody else told, and for how long that may be used. */
export interface Answer {
  /** When it was told, ms since 1970. */
  readonly checkedAt: number
  readonly freshness: Freshness
}

/** Remembers what others told of what may change; asks them again in time, and does without while they don't answer. */
export interface FreshAnswers<T extends Answer> {
  /**
   * @param id A `resourceId`.
   * @throws what `ask` threw, if there is no earlier answer that may stand in.
   */
  get(id: string, from: Informant<T>, signal: AbortSignal): Promise<T>
  /** The next who wants it waits until it has been asked again. */
  expire(id: string): void
  forget(ids: ReadonlySet<string>): void
  /** Ends what is being asked in the background, and resolves when it has ended. */
  stop(): Promise<void>
}

/** Who knows of what may change. */
export interface Informant<T> {
  /** Throws if this caller may not ask for what nothing is known of yet, nor join others who do. */
  admit?(): void
  /** Gets the last answer, if there is one. What it throws is remembered for seconds. */
  ask(known: T | undefined, signal: AbortSignal): Promise<T>
  /** An answer that somebody was given earlier, of whatever age. Only asked while memory has none. */
  recall?(signal: AbortSignal): Promise<T | undefined>
}

export interface FreshAnswersOptions<T> {
  readonly guard: DeletionGuard
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Entries of each table at most. */
  readonly maxRemembered: number
  /** Bytes that an answer takes in memory, about. */
  readonly sizeOf: (answer: T) => number
}

/** A page of broken links is no load on anybody, and what comes back is seen at once. */
const ABSENCE_MS = 1_000
/** Whoever does not answer is spared. */
const OUTAGE_MS = 5_000

export function createFreshAnswers<T extends Answer>(options: FreshAnswersOptions<T>): FreshAnswers<T> {
  const { guard, now, maxRemembered, sizeOf } = options
  const answers = new LRUCache<string, T>(memoryBounds(maxRemembered, sizeOf))
  const failures = createRememberedFailures({ maxRemembered, now })
  // Who comes after something was forgotten does not join those who asked before.
  const rounds = new LRUCache<string, number>({ max: maxRemembered })
  const flights = createCoalescer<T>()
  const recalls = createCoalescer<T | undefined>()
  const background = createBackground()

  async function fly(id: string, from: Informant<T>, signal: AbortSignal): Promise<T> {
    const flight = `${id} ${rounds.get(id) ?? 0}`
    return (await flights.run(flight, (within) => askOnce(id, from, within), signal)).value
  }

  async function recall(id: string, from: Informant<T>, signal: AbortSignal): Promise<T | undefined> {
    // What was forgotten here is not to come back from somewhere else.
    if (rounds.has(id) || failures.has(id)) return undefined
    const recalled = (await recalls.run(id, (within) => Promise.resolve(from.recall?.(within)), signal)).value
    if (recalled && !rounds.has(id) && !answers.has(id)) answers.set(id, recalled)
    return answers.get(id)
  }

  async function askOnce(id: string, { ask }: Informant<T>, signal: AbortSignal): Promise<T> {
    const work = guard.begin(id)
    const round = rounds.get(id)
    const isCurrent = () => !work.isInvalidated && rounds.get(id) === round
    try {
      const answer = await ask(answers.get(id), signal)
      if (isCurrent()) answers.set(id, answer)
      return answer
    } catch (error) {
      if (isCurrent() && isExpected(error)) {
        failures.set(id, error, isOutage(error) ? OUTAGE_MS : ABSENCE_MS)
        // It is gone, or no image: there is nothing to stand in for it.
        if (error instanceof OriginalError) answers.delete(id)
      }
      throw error
    }
  }

  function askInBackground(id: string, from: Informant<T>): void {
    // What failed is remembered, and whoever comes when nothing may stand in any more hears of it.
    const settled = () => {}
    background.track(fly(id, from, background.signal).then(settled, settled))
  }

  function next(id: string): void {
    rounds.set(id, (rounds.get(id) ?? 0) + 1)
    failures.delete(id)
  }

  return {
    async get(id, from, signal) {
      const known = answers.get(id) ?? (from.recall && (await recall(id, from, signal)))
      const age = known ? judgeAge((now() - known.checkedAt) / 1000, known.freshness) : 'expired'
      if (known && age === 'fresh') return known
      const failure = failures.get(id)
      if (failure) {
        if (known && age !== 'expired' && isOutage(failure)) return known
        throw failure
      }
      if (known && age === 'stale') {
        askInBackground(id, from)
        return known
      }
      if (!known) from.admit?.()
      try {
        return await fly(id, from, signal)
      } catch (error) {
        if (known && age !== 'expired' && isOutage(error)) return known
        throw error
      }
    },
    expire(id) {
      const known = answers.get(id)
      if (known) answers.set(id, withoutFreshness(known))
      next(id)
    },
    forget(ids) {
      for (const id of [...ids].filter(isResourceId)) {
        answers.delete(id)
        next(id)
      }
    },
    stop: background.stop,
  }
}

function withoutFreshness<T extends Answer>(answer: T): T {
  return { ...answer, freshness: { ...answer.freshness, freshSeconds: 0, staleWhileRevalidateSeconds: 0 } }
}

function isExpected(error: unknown): error is ServiceError {
  return error instanceof OriginalError || isOutage(error)
}

/** Whoever could tell did not answer. That what was told may go on until then, it has said. */
function isOutage(error: unknown): error is ServiceError {
  return error instanceof UnavailableError || error instanceof RemoteError
}
