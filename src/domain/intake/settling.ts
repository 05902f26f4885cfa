/** The state of a file in the spool folder. */
export interface FileState {
  readonly sizeBytes: number
  /** Milliseconds since 1970, by the clock of the file system. */
  readonly modifiedMs: number
  /**
   * Whether something happened to the file after its last byte was written, as a rename does. False also if that was
   * less than a tick of the kernel's clock later, some milliseconds. A file that may grow is never committed.
   */
  readonly isCommitted: boolean
}

/** What is known of a file from earlier looks. */
export interface EarlierLook {
  /** Since when the file is unchanged; milliseconds of the clock of `now`. */
  readonly sinceMs: number
}

/**
 * How long to wait until a file may be taken.
 *
 * @param settleMs Time without a change that a file needs which was not renamed.
 * @param now Milliseconds since 1970.
 * @returns milliseconds; 0: take it.
 */
export function waitFor(
  file: FileState,
  earlier: EarlierLook | undefined,
  { settleMs, now }: { readonly settleMs: number; readonly now: number },
): number {
  if (file.isCommitted) return 0
  // The clock of a file server may be ahead: then only an earlier look tells.
  const age = Math.max(now - file.modifiedMs, now - (earlier?.sinceMs ?? now))
  return Math.min(settleMs, Math.max(0, settleMs - age))
}
