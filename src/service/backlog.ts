/** Somebody's place among those who wait, with the work that it stands for. */
export interface Place {
  /** Expected; of CPU. */
  readonly costMs: number
  /** More is known of the work now. How far off the first guesses were is expected of the next ones. */
  revise(costMs: number): void
  /** The work begins, or will not be done. A second time it does nothing. */
  leave(): void
}

/** Work that waits and work under way, in the time that it is expected to take. */
export interface Backlog<Kind extends string> {
  add(kind: Kind, costMs: number): Place
  /** @param costMs Absent: nobody knows. @returns to be called when it has ended. */
  begin(costMs?: number): () => void
  /** How long one of this kind who comes now will wait, as far as one can tell. */
  waitMs(kind: Kind): number
}

export interface BacklogOptions {
  /** What is done at once. */
  readonly slots: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

interface Running {
  readonly costMs: number | undefined
  readonly since: number
}

/** What was learnt of the machine's pace counts for a few dozen tasks; and before the first one, it is taken to be as expected. */
const MEMORY = 0.97
const FIRST_MS = 200

/** How much more, or less, it came to than was expected, lately. */
interface Lately {
  expectedMs: number
  cameToMs: number
}

/** Kinds are expected to take turns, as `createFairTurns` has it: none waits for more of another's work than of its own. */
export function createBacklog<Kind extends string>({ slots, now }: BacklogOptions): Backlog<Kind> {
  const waiting = new Map<Kind, number>()
  const running = new Set<Running>()
  const work: Lately = { expectedMs: FIRST_MS, cameToMs: FIRST_MS }
  const guesses = new Map<Kind, Lately>()

  const waitingOf = (kind: Kind): number => Math.max(0, waiting.get(kind) ?? 0)

  function change(kind: Kind, ms: number): void {
    waiting.set(kind, waitingOf(kind) + ms)
  }

  function guessesOf(kind: Kind): Lately {
    const known = guesses.get(kind) ?? { expectedMs: FIRST_MS, cameToMs: FIRST_MS }
    guesses.set(kind, known)
    return known
  }

  return {
    add(kind, costMs) {
      const lately = guessesOf(kind)
      let held = costMs * ratioOf(lately)
      let isGuess = true
      let isHeld = true
      change(kind, held)
      return {
        get costMs() {
          return held
        },
        revise(newMs) {
          if (!isHeld) return
          if (isGuess) learn(lately, costMs, newMs)
          isGuess = false
          change(kind, newMs - held)
          held = newMs
        },
        leave() {
          if (!isHeld) return
          isHeld = false
          change(kind, -held)
        },
      }
    },
    begin(costMs) {
      const task = { costMs, since: now() }
      running.add(task)
      return () => {
        if (running.delete(task) && costMs) learn(work, costMs, now() - task.since)
      }
    },
    waitMs(kind) {
      const pace = ratioOf(work)
      const own = waitingOf(kind)
      let ahead = own * pace
      for (const other of waiting.keys()) if (other !== kind) ahead += Math.min(own, waitingOf(other)) * pace
      // For what nobody knows the length of, its slot is as good as gone.
      const known = [...running].flatMap(({ costMs, since }) =>
        costMs === undefined ? [] : [Math.max(0, costMs * pace - (now() - since))],
      )
      const free = Array.from({ length: Math.max(0, slots - running.size) }, () => 0)
      return filledAfter(ahead, [...free, ...known])
    },
  }
}

function learn(lately: Lately, expectedMs: number, cameToMs: number): void {
  lately.expectedMs = lately.expectedMs * MEMORY + expectedMs
  lately.cameToMs = lately.cameToMs * MEMORY + cameToMs
}

function ratioOf({ expectedMs, cameToMs }: Lately): number {
  return cameToMs / expectedMs
}

/**
 * When so much work is done, if each slot takes what is next as soon as it can: one long task keeps one slot, not all of them.
 * @param busyMs How long each slot is busy with what it has. None: one that is free.
 */
function filledAfter(workMs: number, busyMs: readonly number[]): number {
  const [first = 0, ...later] = busyMs.toSorted((a, b) => a - b)
  let level = first
  let left = workMs
  for (const [index, next] of later.entries()) {
    const room = (next - level) * (index + 1)
    if (left <= room) return level + left / (index + 1)
    left -= room
    level = next
  }
  return level + left / Math.max(1, busyMs.length)
}
