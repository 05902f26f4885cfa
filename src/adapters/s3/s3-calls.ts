import { setTimeout as delay } from 'node:timers/promises'
import { UnavailableError } from '../../errors.ts'
import type { EndpointCalls } from '../../service/ports/meter.ts'
import { createCallGate, createCallTally, createCircuitBreaker, createRetryBudget } from '../calls/call-gate.ts'
import { startDeadline } from '../calls/timed-body.ts'
import { isOutage, outcomeOf, S3Failure, type S3SettingNames, toS3Failure } from './s3-failure.ts'

export interface S3Limits {
  readonly connectTimeoutMs: number
  /** From the end of the request to the head of the answer. Not retried: the call fails after this time. */
  readonly firstByteTimeoutMs: number
  /** Between two chunks of a body, in either direction. */
  readonly stallTimeoutMs: number
  /** A whole call with its wait, its attempts and its body, except a put. */
  readonly totalTimeoutMs: number
  readonly putTimeoutMs: number
  /** Concurrent calls, including unread bodies; also the number of sockets. */
  readonly maxCalls: number
  /** Waiting calls. Others fail at once. */
  readonly maxWaitingCalls: number
  /**
   * Maximum wait while no call ends. With the first-byte timeout it limits the time that a silent store costs a client.
   */
  readonly waitTimeoutMs: number
  /** Maximum wait in any case. */
  readonly longestWaitMs: number
}

export const S3_LIMITS = {
  connectTimeoutMs: 1000,
  firstByteTimeoutMs: 4000,
  stallTimeoutMs: 3000,
  totalTimeoutMs: 10_000,
  putTimeoutMs: 60_000,
  maxCalls: 64,
  maxWaitingCalls: 2500,
  waitTimeoutMs: 800,
  longestWaitMs: 8000,
} as const satisfies S3Limits

const MAX_ATTEMPTS = 3
const JITTER_BASE_MS = 100
const BREAKER = { failures: 5, probeEveryMs: 1000, now: () => performance.now() } as const
/** With the accumulated retries, less than a fifth of the calls from the hundredth on. */
const RETRIES = { perCall: 0.1, perSecond: 0.1, most: 10, now: () => performance.now() } as const

export interface S3Attempt {
  /** From 1. */
  readonly number: number
  readonly signal: AbortSignal
  /** A chunk of the request body was sent. */
  progressed(): void
  /** The whole request body was sent. */
  sent(): void
  /** Aborts, for a reason that is not the store's. */
  fail(reason: Error): void
}

/** A call in progress: it has a place and a deadline until `end`. */
export interface S3Call<T> {
  readonly result: T
  /** Aborts with the caller's reason, or with an `UnavailableError` at the deadline. */
  readonly signal: AbortSignal
  /** A second call has no effect. @param error Of the body, if it failed. */
  end(error?: unknown): void
}

export interface S3CallSettings {
  /** For the log: the operation and the key. */
  readonly operation: string
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface S3Calls {
  /** Makes the call and keeps its place and deadline for a body; the caller must `end` it. */
  begin<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<S3Call<T>>
  run<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<T>
  /** Takes a retry from the budget. @returns false if the budget is empty or the circuit breaker is open. */
  takeRetry(): boolean
  readonly calls: EndpointCalls
}

/**
 * Limits calls in number, time and attempts, and refuses them at once while the store is down. All calls share one
 * retry budget and one circuit breaker. Errors of `send` are translated by `toS3Failure`; an abort of the caller is
 * thrown with its reason.
 */
export function createS3Calls(limits: S3Limits, names: S3SettingNames): S3Calls {
  const gate = createCallGate({ ...limits, maxWaiting: limits.maxWaitingCalls })
  const breaker = createCircuitBreaker(BREAKER)
  const retries = createRetryBudget(RETRIES)
  const tally = createCallTally(() => breaker.isOpen)

  // No retries while the server is known to be down, or is being probed.
  const takeRetry = (): boolean => !breaker.isOpen && retries.take()

  async function attempts<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<T> {
    for (let number = 1; ; number += 1) {
      try {
        return await attemptOnce({ number, limits, signal: settings.signal }, send)
      } catch (error) {
        settings.signal.throwIfAborted()
        const failure = toS3Failure(error, settings.operation, names)
        if (!(failure instanceof S3Failure)) throw failure
        if (!isWorthRetry(failure, number) || !takeRetry()) {
          if (isOutage(failure.verdict)) breaker.failed()
          else breaker.succeeded()
          throw failure
        }
        await delay(Math.random() * JITTER_BASE_MS * 2 ** (number - 1), undefined, { signal: settings.signal })
      }
    }
  }

  async function begin<T>(settings: S3CallSettings, send: (attempt: S3Attempt) => Promise<T>): Promise<S3Call<T>> {
    const { signal } = settings
    signal.throwIfAborted()
    const deadline = startDeadline(signal, settings.timeoutMs, () => new S3Failure('silent'))
    let leave = (): void => {}
    const stop = (): void => {
      deadline.stop()
      leave()
    }
    let ended = false
    const end = (error?: unknown): void => {
      stop()
      if (ended) return
      ended = true
      const isFailed = isStores(error) && !signal.aborted
      if (error === undefined) breaker.succeeded()
      else if (isFailed) breaker.failed()
      tally.ended(error === undefined ? 'ok' : isFailed ? 'invalid' : 'canceled')
    }
    let isSent = false
    try {
      leave = await gate.enter(deadline.signal)
      if (!breaker.allows())
        throw new S3Failure('down', new Error(`${settings.operation}: not sent: circuit breaker open after failures`))
      retries.called()
      isSent = true
      const result = await attempts({ ...settings, signal: deadline.signal }, send)
      return { result, signal: deadline.signal, end }
    } catch (error) {
      stop()
      const reason: unknown = deadline.signal.aborted ? deadline.signal.reason : error
      tally.ended(signal.aborted ? 'canceled' : isSent ? outcomeOf(reason) : 'not_sent')
      throw reason
    }
  }

  return {
    begin,
    takeRetry,
    calls: tally.calls,
    async run(settings, send) {
      const call = await begin(settings, send)
      call.end()
      return call.result
    },
  }
}

/** A second refusal for the clock is not retried: signatures have the server's time after the first. */
function isWorthRetry({ verdict }: S3Failure, attempt: number): boolean {
  if (verdict === 'skewed') return attempt === 1
  return (verdict === 'busy' || verdict === 'down' || verdict === 'conflict') && attempt < MAX_ATTEMPTS
}

/** A body also fails if its reader does, for example on a full disk. */
function isStores(error: unknown): boolean {
  return error instanceof UnavailableError && error.code === 'store_unavailable'
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
  // The SDK does not abort its work before the request, such as fetching credentials.
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
      // If the store responds before it has read the whole request, the socket would stay open.
      controller.abort()
    },
  )
  return promise
}
