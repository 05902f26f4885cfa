import { LRUCache } from 'lru-cache'
import { UnavailableError } from '../../errors.ts'
import type { StoreEndpoint, StoreReads } from '../../service/ports/replicas.ts'
import type { ObjectStore, OpenObject } from '../../service/ports/store.ts'
import { createRetryBudget, type RetryBudget } from '../calls/call-gate.ts'
import { createLatencyWindow, type LatencyWindow } from '../calls/latency-window.ts'
import { race, type Runner } from '../calls/race.ts'
import { createSuspension, type Suspension } from '../calls/suspension.ts'

/** A read without a response for this time is sent to the next endpoint as well, whatever the budget. */
export const SILENT_MS = 1000
/** A faster repetition would gain nothing. */
const SHORTEST_HEDGE_MS = 10
/** Repeated GETs: 3 % of all, and of HEAD. The first hundred, which have no hedges, keep three for later. */
const HEDGES = { perCall: 0.03, perSecond: 0, most: 3 } as const
/** A hedge after the 95th percentile; while the budget is exhausted, after the 98th, so that the slowest reads have one. */
const HEDGE_AT = { full: 0.95, empty: 0.98 } as const
/** Objects that an endpoint has sent damaged or cut: the next read asks the others first. */
const DAMAGES = { max: 1000, ttl: 10_000 } as const

export type ReadMethod = 'GET' | 'HEAD'

export interface ReadEndpoint extends StoreEndpoint {
  readonly store: ObjectStore
  readonly suspension: Suspension
  readonly times: Readonly<Record<ReadMethod, LatencyWindow>>
  served: number
}

/** A read of a key of which replicas have copies. */
export interface Read<T> {
  readonly key: string
  readonly method: ReadMethod
  /** In the order in which they are asked; those aside come last. */
  readonly endpoints: readonly ReadEndpoint[]
  /** Whether a hedge goes to the next endpoint; else to the same one again. */
  readonly hedgesToNext: boolean
  /** @returns undefined if this endpoint cannot tell whether there is such an object. */
  ask(endpoint: ReadEndpoint, signal: AbortSignal): Promise<Answer<T> | undefined>
  discard(found: T): void
}

export interface ReadResult<T> {
  readonly found: T | undefined
  readonly endpoint: ReadEndpoint
  /** Ends following the signal. To be called when `found` is no longer used. */
  end(): void
}

export interface ReadRaces {
  readonly endpoints: readonly ReadEndpoint[]
  readonly hedges: StoreReads['hedges']
  /** @throws UnavailableError if no endpoint could tell. */
  run<T>(read: Read<T>, signal: AbortSignal): Promise<ReadResult<T>>
  /** The method of an object from this endpoint: the next read asks the others first. */
  takeRetry(key: string, endpoint: ReadEndpoint, object: OpenObject): boolean
}

const now = (): number => performance.now()

/** The error of a read without a response. */
export function silence(): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store did not respond in time')
}

export function createReadRaces(given: readonly { readonly label: string; readonly store: ObjectStore }[]): ReadRaces {
  const endpoints = given.map(endpointOf)
  const budgets: Readonly<Record<ReadMethod, RetryBudget>> = {
    GET: createRetryBudget({ ...HEDGES, now }),
    HEAD: createRetryBudget({ ...HEDGES, now }),
  }
  const hedges = { sent: 0, won: 0 }
  const damaged = new LRUCache<string, ReadEndpoint>(DAMAGES)

  const runnerOf = <T>(endpoint: ReadEndpoint, { key, method, ask }: Read<T>): ReadRunner<T> => ({
    endpoint,
    run(signal) {
      endpoint.suspension.called()
      return ask(endpoint, signal)
    },
    get hedgeAfterMs() {
      const { full, empty } = HEDGE_AT
      const ms = endpoint.times[method].quantile(empty - (empty - full) * budgets[method].fill)
      return ms === undefined ? undefined : Math.max(SHORTEST_HEDGE_MS, ms)
    },
    silentAfterMs: SILENT_MS,
    silent: () => endpoint.suspension.silent(key),
    ended: (ms) => endpoint.times[method].add(ms),
  })

  const inOrder = (key: string, all: readonly ReadEndpoint[]): readonly ReadEndpoint[] => {
    const isLast = (endpoint: ReadEndpoint): boolean => endpoint.isAside || damaged.get(key) === endpoint
    return all.length === 1 ? all : all.toSorted((one, other) => Number(isLast(one)) - Number(isLast(other)))
  }

  return {
    endpoints,
    hedges,

    async run<T>(read: Read<T>, signal: AbortSignal) {
      const budget = budgets[read.method]
      budget.called()
      const runners = inOrder(read.key, read.endpoints).map((endpoint) => runnerOf(endpoint, read))
      const [first, second] = runners
      const isRepeated = !read.hedgesToNext || second === undefined || second.endpoint.isAside
      const { value, runner, isHedge, end } = await race<Answer<T>, ReadRunner<T>>(
        {
          runners,
          again: isRepeated ? first : undefined,
          mayHedge() {
            const isTaken = budget.take()
            if (isTaken) hedges.sent += 1
            return isTaken
          },
          discard({ found }) {
            if (found !== undefined) read.discard(found)
          },
        },
        signal,
      )
      if (value === undefined || runner === undefined) throw silence()
      if (isHedge) hedges.won += 1
      runner.endpoint.served += 1
      return { found: value.found, endpoint: runner.endpoint, end }
    },

    takeRetry(key, endpoint, { takeRetry }) {
      damaged.set(key, endpoint)
      // Mostly it was cut or stalled.
      endpoint.suspension.silent(key)
      return takeRetry?.() ?? true
    },
  }
}

interface Answer<T> {
  readonly found: T | undefined
}

interface ReadRunner<T> extends Runner<Answer<T>> {
  readonly endpoint: ReadEndpoint
}

function endpointOf({ label, store }: { readonly label: string; readonly store: ObjectStore }): ReadEndpoint {
  const suspension = createSuspension({ now })
  return {
    label,
    store,
    suspension,
    times: { GET: createLatencyWindow(), HEAD: createLatencyWindow() },
    served: 0,
    ...(store.calls && { calls: store.calls }),
    get isAside() {
      return suspension.isSuspended || store.calls?.isBreakerOpen === true
    },
  }
}
