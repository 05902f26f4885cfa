/** The outcome of a flight, and whether it was already under way. */
export interface Landed<T> {
  readonly value: T
  readonly joined: boolean
}

/** One flight per key at a time; whoever asks for the key meanwhile shares its outcome. */
export interface Coalescer<T> {
  /**
   * @param start Begins the flight. Its signal aborts when the last who waited has left, never before.
   * @param signal Of this caller: when it aborts, the caller leaves with its reason and the others fly on.
   */
  run(key: string, start: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<Landed<T>>
  /** Flights under way. */
  readonly size: number
}

interface Flight<T> {
  readonly outcome: Promise<T>
  readonly controller: AbortController
  waiting: number
}

export function createCoalescer<T>(): Coalescer<T> {
  const flights = new Map<string, Flight<T>>()

  function begin(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const outcome = start(controller.signal).finally(() => {
      if (flights.get(key) === flight) flights.delete(key)
    })
    const flight: Flight<T> = { outcome, controller, waiting: 0 }
    flights.set(key, flight)
    return flight
  }

  function leave(key: string, flight: Flight<T>, reason: unknown): void {
    flight.waiting -= 1
    if (flight.waiting > 0) return
    // Who comes now begins anew: this flight is being given up.
    if (flights.get(key) === flight) flights.delete(key)
    flight.controller.abort(reason)
  }

  return {
    async run(key, start, signal) {
      signal.throwIfAborted()
      const underWay = flights.get(key)
      const flight = underWay ?? begin(key, start)
      flight.waiting += 1
      const value = await unlessAborted(flight.outcome, signal, (reason) => leave(key, flight, reason))
      return { value, joined: underWay !== undefined }
    },
    get size() {
      return flights.size
    },
  }
}

/** Waits for a promise, but no longer than until `signal` aborts: then calls `onAbort` and throws the signal's reason. */
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
