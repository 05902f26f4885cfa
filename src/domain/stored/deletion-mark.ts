/** What stands under `deleted/` while an image is being deleted and after. */
export interface DeletionMark {
  /** Milliseconds since 1970. */
  readonly time: number
  /** True when nothing more will be removed. */
  readonly finished: boolean
}

/** A deletion ends within its request's deadline; one that is under way for longer was left by a crash. */
const LONGEST_DELETION_MS = 60_000

export function formatDeletionMark(mark: DeletionMark): string {
  return JSON.stringify(mark)
}

/** The inverse of `formatDeletionMark`. A text of another shape counts as a finished deletion. */
export function parseDeletionMark(text: string): DeletionMark {
  const { time, finished } = /"time":(?<time>\d+),"finished":(?<finished>true|false)/.exec(text)?.groups ?? {}
  return { time: Number(time ?? 0), finished: finished !== 'false' }
}

/** True if the deletion may still remove what an upload writes now. */
export function isUnderWay({ time, finished }: DeletionMark, nowMs: number): boolean {
  return !finished && Math.abs(nowMs - time) < LONGEST_DELETION_MS
}
