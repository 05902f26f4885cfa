import { setTimeout as delay } from 'node:timers/promises'
import { createCallGate } from './call-gate.ts'
import { createCircuitBreaker } from './circuit-breaker.ts'
import { isOutage, S3Failure, toS3Failure } from './s3-failure.ts'

export interface S3Limits {
  readonly connectTimeoutMs: number
  /** From the end of the request to the head of the answer. Not retried: a silent store is given up after this. */
  readonly firstByteTimeoutMs: number
  /** Between two pieces of a body, in either direction. */
  readonly stallTimeoutMs: number
  /** A whole call with its wait, its attempts and its body, other than a put. */
  readonly totalTimeoutMs: number
  readonly putTimeoutMs: number
  /** At once, an unread body included; as many sockets. */
  readonly maxCalls: number
  /** Calls that may wait for their turn. Beyond it they fail at once. */
  readonly maxWaitingCalls: number
  /** Together with the first byte's, it bounds what a silent store can cost a client. */
  readonly waitTimeoutMs: number
}

export const S3_LIMITS = {
  connectTimeoutMs: 1000,
  firstByteTimeoutMs: 4000,
  stallTimeoutMs: 3000,
  totalTimeoutMs: 10_000,
  putTimeoutMs: 60_000,
  maxCalls: 64,
  maxWaitingCalls: 1000,
  waitTimeoutMs: 800,
} as const satisfies S3Limits

const MAX_ATTEMPTS = 3
const JITTER_BASE_MS = 100
const BREAKER = { failures: 5, probeEveryMs: 1000, now: () => performance.now() } as const

/** One try of one request. */
export interface S3Attempt {
  /** From 1. */
  readonly number: number
  readonly signal: AbortSignal
  /** A piece of the request's body went out. */
  progressed(): void
  /** All of the request's body went out. */
  sent(): void
  /** Gives up, for a reason that is not the store's. */
  fail(reason: Error): void
}

/** A call under way: it has a place and a deadline until `end`. */
export interface S3Call<T> {
  readonly result: T
  /** Aborts with the caller's reason, or with an `UnavailableError` at the deadline. */
  readonly signal: AbortSignal
  end(): void
}

export interface S3CallSettings {
  /** For the log: what, on which key. */
  readonly operation: string
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface S3Calls {
  /** Makes the call and keeps its place and deadline for a body; the caller must `end` it. */
  begin<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<S3Call<T>>
  run<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<T>
}

/**
 * Bounds calls in number, time and attempts, and refuses them at once while the store is down. What `send` throws is judged
 * by `toS3Failure`; the caller's own abort is thrown as its reason.
 */
export function createS3Calls(limits: S3Limits): S3Calls {
  const gate = createCallGate({ ...limits, maxWaiting: limits.maxWaitingCalls })
  const breaker = createCircuitBreaker(BREAKER)

  async function attempts<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<T> {
    for (let number = 1; ; number += 1) {
      try {
        const result = await attemptOnce({ number, limits, signal: settings.signal }, send)
        breaker.succeeded()
        return result
      } catch (error) {
        settings.signal.throwIfAborted()
        const failure = toS3Failure(error, settings.operation)
        if (!(failure instanceof S3Failure)) throw failure
        if (!mayRetry(failure, number)) {
          if (isOutage(failure.verdict)) breaker.failed()
          else breaker.succeeded()
          throw failure
        }
        await delay(Math.random() * JITTER_BASE_MS * 2 ** (number - 1), undefined, { signal: settings.signal })
      }
    }
  }

  async function begin<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<S3Call<T>> {
    settings.signal.throwIfAborted()
    const deadline = startDeadline(settings.signal, settings.timeoutMs)
    let leave = (): void => {}
    const end = (): void => {
      deadline.stop()
      leave()
    }
    try {
      leave = await gate.enter(deadline.signal)
      if (!breaker.allows())
        throw new S3Failure('down', new Error(`${settings.operation}: not sent after other failures`))
      const result = await attempts({ ...settings, signal: deadline.signal }, send)
      return { result, signal: deadline.signal, end }
    } catch (error) {
      end()
      deadline.signal.throwIfAborted()
      throw error
    }
  }

  return {
    begin,
    async run(settings, send) {
      const call = await begin(settings, send)
      call.end()
      return call.result
    },
  }
}

/** A lasting difference of the clocks is no cause to go on: the SDK corrects its own by the first refusal. */
function mayRetry({ verdict }: S3Failure, attempt: number): boolean {
  if (verdict === 'skewed') return attempt === 1
  return (verdict === 'busy' || verdict === 'down' || verdict === 'conflict') && attempt < MAX_ATTEMPTS
}

interface AttemptSettings {
  readonly number: number
  readonly limits: S3Limits
  readonly signal: AbortSignal
}

function attemptOnce<T>(
  { number, limits, signal }: AttemptSettings,
  send: (attempt: S3Attempt) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const stop = (): void => controller.abort(signal.reason)
  const late = (): void => controller.abort(new S3Failure('silent'))
  let timer = setTimeout(late, limits.firstByteTimeoutMs)
  const rearm = (ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(late, ms)
  }
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  // Listening here, rather than trusting the SDK to, also ends what it does before there is a request: fetching credentials.
  controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  const settle = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
  send({
    number,
    signal: controller.signal,
    progressed: () => rearm(limits.stallTimeoutMs),
    sent: () => rearm(limits.firstByteTimeoutMs),
    fail: (reason) => controller.abort(reason),
  }).then(
    (result) => {
      settle()
      resolve(result)
    },
    (error: unknown) => {
      settle()
      reject(error)
      // A store that answers before it has read the whole request would leave a socket that nobody ends.
      controller.abort()
    },
  )
  return promise
}

/** Follows `signal`, and aborts by itself with an `UnavailableError` in `timeoutMs`. */
function startDeadline(signal: AbortSignal, timeoutMs: number): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(new S3Failure('silent')), timeoutMs)
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const stop = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
  return { signal: controller.signal, stop }
}
