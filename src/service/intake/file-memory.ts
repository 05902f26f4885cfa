import { LRUCache } from 'lru-cache'
import { waitFor } from '../../domain/intake/settling.ts'
import type { SpoolFile } from '../ports/intake.ts'

/** Earlier looks at files that are still in the spool folder. Forgetting one costs an attempt. */
export interface FileMemory {
  /** @returns milliseconds until the file may be taken; 0: now. */
  delayOf(file: SpoolFile): number
  /** @returns `delayMs`. */
  postpone(file: SpoolFile, delayMs: number): number
  /** Counts a failure of the node with this version of the file. @returns all failures. */
  countFailure(file: SpoolFile): number
  forget(file: SpoolFile): void
}

interface Look {
  readonly version: string
  readonly sinceMs: number
  /** Not tried before. */
  readonly untilMs: number
  readonly failures: number
}

const MOST_FILES = 10_000

/** @param settleMs Time without a change that a file needs which was written in its place. */
export function createFileMemory({ settleMs, now }: { readonly settleMs: number; now(): number }): FileMemory {
  const looks = new LRUCache<string, Look>({ max: MOST_FILES })

  function lookOf({ path, version }: SpoolFile): Look {
    const known = looks.get(path)
    return known?.version === version ? known : { version, sinceMs: now(), untilMs: 0, failures: 0 }
  }

  return {
    delayOf(file) {
      const look = lookOf(file)
      const delayMs = Math.max(waitFor(file, look, { settleMs, now: now() }), look.untilMs - now())
      if (delayMs > 0) looks.set(file.path, look)
      return Math.max(0, delayMs)
    },
    postpone(file, delayMs) {
      looks.set(file.path, { ...lookOf(file), untilMs: now() + delayMs })
      return delayMs
    },
    countFailure(file) {
      const look = lookOf(file)
      looks.set(file.path, { ...look, failures: look.failures + 1 })
      return look.failures + 1
    },
    forget: ({ path }) => void looks.delete(path),
  }
}
