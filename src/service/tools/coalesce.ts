import type { LeftWork } from './left-work.ts'

/** The outcome of a flight, and whether it had already begun. */
export interface Landed<T> {
  readonly value: T
  readonly joined: boolean
}

/**
 * One flight per key at a time; callers with the same key share its outcome (single flight).
 * @see createCoalescer
 */
export interface Coalescer<T> {
  /**
   * @param start Begins the flight. Its signal aborts when the last caller has left, never before, and not at all if the flight has
   *   called `begun` and there is room for it in `leftWork`.
   * @param signal Of this caller: when it aborts, the caller leaves with its reason, and the flight continues for the
   *   others.
   */
  run(key: string, start: StartFlight<T>, signal: AbortSignal): Promise<Landed<T>>
  /** Number of flights in progress. */
  readonly size: number
}

/** @param begun From here on the work is worth completing, even if all callers leave. */
type StartFlight<T> = (signal: AbortSignal, begun: () => void) => Promise<T>

interface Flight<T> {
  readonly outcome: Promise<T>
  readonly controller: AbortController
  readonly state: { hasBegun: boolean; isLeftWork: boolean }
  waiting: number
}

/**
 * @param mayBeOutdated Whether an error may be outdated: it describes the state when the flight began. A caller that joined such
 *   a flight flies once more; a flight that began after its call fails for it.
 * @param leftWork Completes flights that have begun. Absent: they are aborted as well.
 */
export function createCoalescer<T>(
  mayBeOutdated: (error: unknown) => boolean = () => false,
  leftWork?: Pick<LeftWork, 'adopt'>,
): Coalescer<T> {
  const flights = new Map<string, Flight<T>>()

  function begin(key: string, start: StartFlight<T>): Flight<T> {
    const controller = new AbortController()
    const state = { hasBegun: false, isLeftWork: false }
    const begun = () => {
      state.hasBegun = true
    }
    const outcome = start(controller.signal, begun).finally(() => {
      if (flights.get(key) === flight) flights.delete(key)
    })
    const flight: Flight<T> = { outcome, controller, state, waiting: 0 }
    flights.set(key, flight)
    return flight
  }

  function leave(key: string, flight: Flight<T>, reason: unknown): void {
    flight.waiting -= 1
    const { state, controller, outcome } = flight
    if (flight.waiting > 0 || state.isLeftWork) return
    state.isLeftWork = state.hasBegun && leftWork?.adopt(controller, outcome) === true
    if (state.isLeftWork) return
    // A later caller starts a new flight: this one is being aborted.
    if (flights.get(key) === flight) flights.delete(key)
    controller.abort(reason)
  }

  function share(key: string, flight: Flight<T>, signal: AbortSignal): Promise<T> {
    flight.waiting += 1
    return unlessAborted(flight.outcome, signal, (reason) => leave(key, flight, reason))
  }

  return {
    async run(key, start, signal) {
      signal.throwIfAborted()
      const underWay = flights.get(key)
      if (underWay === undefined) return { value: await share(key, begin(key, start), signal), joined: false }
      try {
        return { value: await share(key, underWay, signal), joined: true }
      } catch (error) {
        if (signal.aborted || !mayBeOutdated(error)) throw error
        return { value: await share(key, flights.get(key) ?? begin(key, start), signal), joined: true }
      }
    },
    get size() {
      return flights.size
    },
  }
}

/** Waits for some time. @throws The reason of `signal`. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await unlessAborted(promise, signal, () => clearTimeout(timer))
}

/** Waits for a promise until `signal` aborts: then it calls `onAbort` and throws the signal's reason. */
export function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  onAbort: (reason: unknown) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      onAbort(signal.reason)
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
