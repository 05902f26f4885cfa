import { UnavailableError } from '../errors.ts'

/** What a silent store may cost a viewer, the wait for a turn included; and the least that it gets to begin its answer. */
const FIRST_BYTE_MS = 4_800
const LEAST_FIRST_BYTE_MS = 500

/** How long the store has to begin its answer. @param asked When the viewer asked, by `performance.now()`. */
export function firstByteMs(asked: number): number {
  return Math.max(LEAST_FIRST_BYTE_MS, FIRST_BYTE_MS - (performance.now() - asked))
}

/** Opens an object, unless the store is silent for too long. @throws UnavailableError `store_unavailable` */
export async function openInTime<T>(
  open: (signal: AbortSignal) => Promise<T>,
  withinMs: number,
  signal: AbortSignal,
): Promise<T> {
  const controller = new AbortController()
  const late = () => controller.abort(new UnavailableError('store_unavailable', 'The object store did not answer'))
  const timer = setTimeout(late, withinMs)
  try {
    return await open(AbortSignal.any([signal, controller.signal]))
  } finally {
    clearTimeout(timer)
  }
}
