import type { OutputFormat } from '../../domain/spec/image-format.ts'
import type { Viewer } from '../load/admission.ts'
import type { MadeRendition } from '../ports/cache.ts'
import { CHANGE_ATTEMPTS } from '../originals/resolve.ts'
import type { RenditionName } from './look-up.ts'

/** One attempt at a view, on one version of its original. */
export interface Attempt extends RenditionName {
  /** The request that waits for it, if there is one. */
  readonly viewer?: Viewer | undefined
  /** No request waits for it yet: it is rendered while the renderers are idle, to the fewest bytes. */
  readonly ahead?: boolean
  /** An earlier attempt found a file gone. */
  readonly fileWasGone: boolean
  /** Render from the original, not from a mezzanine: an earlier attempt found a damaged source. */
  readonly fromOriginal: boolean
  /** The rendition, if the choice of its format has found it in the store. */
  readonly kept?: MadeRendition
}

/** An attempt at a rendition whose format is known. */
export interface Target extends Attempt {
  readonly as: OutputFormat
}

/**
 * How often one view is attempted for each reason, the first attempt included: six attempts in all for an upload, five for an
 * object or a remote image, whose versions are never deleted. All of them end with the request, after `REQUEST_TIMEOUT_SECONDS`.
 */
const ATTEMPTS = {
  /** A file was deleted between its look-up and its use, or the disk failed. */
  file_gone: 2,
  /** The object or the remote image was replaced. If it keeps changing, the last picture that was read is the answer. */
  original_changed: CHANGE_ATTEMPTS,
  /** The image was deleted or purged during the attempt. Only the next one tells whether it exists. Purges may follow each other. */
  invalidated: 4,
  /** The copy on this disk is damaged or unreadable. The next attempt fetches the original from the store. */
  source_damaged: 2,
} as const
type RetryReason = keyof typeof ATTEMPTS

/** The attempt failed, and another one may succeed. `cause` is the error of the answer if it does not. */
export class RetryError extends Error {
  readonly reason: RetryReason
  constructor(reason: RetryReason, cause: unknown) {
    super(`Attempt failed: ${reason}`, { cause })
    this.name = new.target.name
    this.reason = reason
  }
}

/** Counts the attempts of one view. */
export interface Attempts {
  /** Whether an earlier attempt failed for this reason. */
  hadFailed(reason: RetryReason): boolean
  /** Counts a failed attempt. @returns whether another one may follow. */
  mayRepeat(reason: RetryReason): boolean
}

export function createAttempts(): Attempts {
  const failures = { file_gone: 0, original_changed: 0, invalidated: 0, source_damaged: 0 }
  return {
    hadFailed: (reason) => failures[reason] > 0,
    mayRepeat(reason) {
      failures[reason] += 1
      return failures[reason] < ATTEMPTS[reason]
    },
  }
}
