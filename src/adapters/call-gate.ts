import { UnavailableError } from '../errors.ts'

export interface CallGate {
  /**
   * Waits for one of the places.
   * @returns Gives the place back; a second call does nothing.
   * @throws {UnavailableError} At once if too many wait already, or after the longest wait.
   */
  enter(signal: AbortSignal): Promise<() => void>
}

export interface CallGateSettings {
  readonly maxCalls: number
  readonly maxWaiting: number
  readonly waitTimeoutMs: number
  /** What is thrown where too many wait. Absent: `store_unavailable`. */
  readonly refusal?: () => UnavailableError
}

/** Bounds how many calls of a dependency run at once, and how many wait for their turn and how long; in order of arrival. */
export function createCallGate({ maxCalls, maxWaiting, waitTimeoutMs, refusal = tooMany }: CallGateSettings): CallGate {
  let running = 0
  const waiting = new Set<() => void>()

  const place = (): (() => void) => {
    let held = true
    return () => {
      if (!held) return
      held = false
      running -= 1
      const [next] = waiting
      next?.()
    }
  }

  return {
    enter(signal) {
      if (signal.aborted) return Promise.reject(signal.reason)
      if (running < maxCalls) {
        running += 1
        return Promise.resolve(place())
      }
      if (waiting.size >= maxWaiting) {
        return Promise.reject(refusal())
      }
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const leave = (): void => {
        clearTimeout(timer)
        waiting.delete(admit)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        reject(signal.reason)
      }
      const admit = (): void => {
        leave()
        running += 1
        resolve(place())
      }
      const timer = setTimeout(() => {
        leave()
        reject(refusal())
      }, waitTimeoutMs)
      waiting.add(admit)
      signal.addEventListener('abort', onAbort, { once: true })
      return promise
    },
  }
}

function tooMany(): UnavailableError {
  return new UnavailableError('store_unavailable', 'Too many calls wait for the object store')
}
