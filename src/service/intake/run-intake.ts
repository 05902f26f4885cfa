import type { SpoolFile, SpoolFolder } from '../ports/intake.ts'
import type { IntakeService, Left } from './intake-service.ts'

export interface RunIntakeOptions {
  readonly intake: IntakeService
  readonly spool: Pick<SpoolFolder<SpoolFile>, 'watch'>
  /** Interval of scans without a change that the watch noticed. */
  readonly scanMs: number
  /** Ends when nothing is left, or when the node has taken no file for some attempts. */
  readonly once: boolean
  readonly onPass: (left: Left) => void
  /** The spool folder failed; the next scan tries again. */
  readonly onTrouble: (error: unknown) => void
  /** Settles after `ms` or when `signal` is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
  /** 0 to 1. */
  readonly random: () => number
}

const FIRST_BACKOFF_MS = 500
const MOST_BACKOFF_MS = 30_000
/** Passes without an answer, with `once`: a minute or so. */
const ATTEMPTS_ONCE = 8
/** Between two passes, so that a flood of changes is one. */
const LEAST_PAUSE_MS = 20

/** Takes files until `signal` is aborted, or once. @returns what the last pass left. */
export async function runIntake(options: RunIntakeOptions, signal: AbortSignal): Promise<Left | undefined> {
  const { intake, spool, once, onPass, onTrouble } = options
  let wake = new AbortController()
  const watching = spool.watch(() => wake.abort())
  let failures = 0
  let left: Left | undefined
  try {
    while (!signal.aborted) {
      wake = new AbortController()
      left = await intake.pass(signal).catch((error: unknown) => {
        if (!signal.aborted) onTrouble(error)
        return undefined
      })
      if (left) onPass(left)
      failures = left && !left.unavailable ? 0 : failures + 1
      if (once && (left?.files === 0 || failures >= ATTEMPTS_ONCE)) break
      await waitForWork(left, { ...options, failures, wake: wake.signal }, signal)
    }
    return left
  } finally {
    watching.stop()
  }
}

type Waiting = Pick<RunIntakeOptions, 'scanMs' | 'pause' | 'random'> & {
  readonly failures: number
  readonly wake: AbortSignal
}

async function waitForWork(
  left: Left | undefined,
  { scanMs, pause, random, failures, wake }: Waiting,
  signal: AbortSignal,
): Promise<void> {
  await pause(LEAST_PAUSE_MS, signal)
  if (failures > 0) {
    const backoffMs = Math.min(MOST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1))
    const leastMs = (left?.unavailable?.retryAfterSeconds ?? 0) * 1000
    await pause(leastMs + backoffMs * (0.5 + random() / 2), signal)
    return
  }
  await pause(Math.min(scanMs, left?.nextLookMs ?? scanMs), AbortSignal.any([signal, wake]))
}
