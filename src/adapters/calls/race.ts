import { UnavailableError } from '../../errors.ts'

/** One of several ways to the same answer. */
export interface Runner<T> {
  /**
   * @param signal Aborts when another runner wins. After this one has won it follows the signal of the race, until `end`.
   * @returns undefined if this runner cannot tell; the others decide then.
   */
  run(signal: AbortSignal): Promise<T | undefined>
  /** When the next runner starts as well, if `mayHedge` allows it. Absent: never. */
  readonly hedgeAfterMs?: number | undefined
  /** When the next runner starts in any case. */
  readonly silentAfterMs: number
  /** It was silent for that time, while others were still to start. */
  silent(): void
  /** It had a result, or another runner won before. @param ms From its start until then. */
  ended(ms: number): void
}

export interface Race<T, R extends Runner<T>> {
  /** In the order of their start. A runner that fails or cannot tell is followed by the next at once. */
  readonly runners: readonly R[]
  /** The runner of a hedge. Absent: the next one. */
  readonly again?: R | undefined
  /** Called when the only runner in progress is slow. True: the hedge starts. */
  mayHedge(): boolean
  /** Frees the result of a runner that came too late. */
  discard(value: T): void
}

export interface Won<T, R> {
  /** Undefined if no runner could tell. */
  readonly value: T | undefined
  readonly runner: R | undefined
  readonly isHedge: boolean
  /** Ends following the signal of the race. To be called when the value is no longer used. */
  end(): void
}

interface Entry<R> {
  readonly runner: R
  readonly isHedge: boolean
  readonly controller: AbortController
  readonly began: number
  readonly timers: NodeJS.Timeout[]
}

/**
 * The first answer of the runners.
 *
 * @throws The reason of `signal`; else the `UnavailableError` of the first runner that failed; else any other error of a runner.
 */
export function race<T, R extends Runner<T>>(
  { runners, again, mayHedge, discard }: Race<T, R>,
  signal: AbortSignal,
): Promise<Won<T, R>> {
  if (signal.aborted) return Promise.reject(signal.reason)
  const { promise, resolve, reject } = Promise.withResolvers<Won<T, R>>()
  const left = [...runners]
  const running = new Set<Entry<R>>()
  let failure: unknown
  let isOver = false

  const onAbort = (): void => {
    stop(signal.reason)
    reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })

  function stop(reason: unknown): void {
    isOver = true
    for (const entry of running) end(entry).controller.abort(reason)
    running.clear()
    signal.removeEventListener('abort', onAbort)
  }

  function next(): void {
    const runner = left.shift()
    if (runner) start(runner)
    if (running.size > 0) return
    stop(undefined)
    if (failure === undefined) resolve({ value: undefined, runner: undefined, isHedge: false, end() {} })
    else reject(failure)
  }

  function hedge(): void {
    const runner = again ?? left[0]
    if (running.size !== 1 || !runner || !mayHedge()) return
    if (!again) left.shift()
    start(runner, true)
  }

  function overdue(runner: R): void {
    runner.silent()
    if (left.length > 0) next()
  }

  function start(runner: R, isHedge = false): void {
    const entry: Entry<R> = { runner, isHedge, controller: new AbortController(), began: performance.now(), timers: [] }
    running.add(entry)
    if (runner.hedgeAfterMs !== undefined) entry.timers.push(setTimeout(hedge, runner.hedgeAfterMs))
    if (left.length > 0) entry.timers.push(setTimeout(overdue, runner.silentAfterMs, runner))
    runner.run(entry.controller.signal).then(
      (value) => answered(entry, value),
      (error: unknown) => failed(entry, error),
    )
  }

  function answered(entry: Entry<R>, value: T | undefined): void {
    if (isOver) {
      if (value !== undefined) discard(value)
      return
    }
    running.delete(end(entry))
    if (value === undefined) return next()
    stop(new UnavailableError('store_unavailable', 'Another answer came first'))
    resolve({ value, runner: entry.runner, isHedge: entry.isHedge, end: follow(signal, entry.controller) })
  }

  function failed(entry: Entry<R>, error: unknown): void {
    if (isOver) return
    clear(entry)
    running.delete(entry)
    failure ??= error
    if (error instanceof UnavailableError) return next()
    stop(undefined)
    reject(error)
  }

  next()
  return promise
}

function clear({ timers }: Entry<unknown>): void {
  for (const timer of timers) clearTimeout(timer)
}

/** @returns the entry. */
function end<R extends Runner<unknown>>(entry: Entry<R>): Entry<R> {
  clear(entry)
  entry.runner.ended(performance.now() - entry.began)
  return entry
}

/** @returns Ends it. */
function follow(signal: AbortSignal, controller: AbortController): () => void {
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}
