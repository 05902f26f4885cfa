/** A place among those who wait, with the work that it stands for. */
export interface Place {
  /** Expected; of CPU. */
  readonly costMs: number
  /** More is known of the work now. How far off the first guesses were is expected of the next ones. */
  revise(costMs: number): void
  /** The work begins, or will not be done. A second time it does nothing. */
  leave(): void
}

export interface BacklogEntry<Kind extends string> {
  readonly kind: Kind
  readonly client: string
  /** Expected; of CPU. */
  readonly costMs: number
  /** Called once, when the place is left. */
  readonly onLeave?: () => void
}

/** Work that waits and work under way, in the time that it is expected to take. */
export interface Backlog<Kind extends string> {
  add(entry: BacklogEntry<Kind>): Place
  /** @param costMs Absent: unknown. @returns to be called when it has ended. */
  begin(costMs?: number): () => void
  /** How long work of this kind would wait that came now and went after all of its kind. */
  waitMs(kind: Kind): number
  /** How long this work of this client would wait, in its turn. */
  waitInTurnMs(entry: Pick<BacklogEntry<Kind>, 'kind' | 'client' | 'costMs'>): number
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

/** Moving averages over about 30 tasks. */
const MEMORY = 0.97
/** Their weight before the first one, when everything is taken to be as expected; and how long unknown work takes until then. */
const FIRST_MS = 200
/** One task counts for this many times what was expected at most: one that hung says little of the next. */
const MOST = 4

/** How much more, or less, it came to than was expected, lately. */
interface Lately {
  expectedMs: number
  cameToMs: number
}

/** Work of one kind that waits, by client. */
interface Waiting {
  totalMs: number
  places: number
  readonly byClient: Map<string, { ms: number; places: number }>
}

/**
 * Kinds are expected to take turns, and so are the clients within a kind, as `createFairTurns` has it: none waits for more of
 * another's work than of its own.
 */
export function createBacklog<Kind extends string>({ slots, now }: BacklogOptions): Backlog<Kind> {
  const waiting = new Map<Kind, Waiting>()
  const running = new Set<Running>()
  const work: Lately = { expectedMs: FIRST_MS, cameToMs: FIRST_MS }
  const unknown = { tasks: 1, ms: FIRST_MS }
  const guesses = new Map<Kind, Lately>()

  function waitingOf(kind: Kind): Waiting {
    const known = waiting.get(kind) ?? { totalMs: 0, places: 0, byClient: new Map() }
    waiting.set(kind, known)
    return known
  }

  function guessesOf(kind: Kind): Lately {
    const known = guesses.get(kind) ?? { expectedMs: FIRST_MS, cameToMs: FIRST_MS }
    guesses.set(kind, known)
    return known
  }

  /** Of what is before it, in milliseconds of CPU. */
  function waitAfter(kind: Kind, aheadMs: number, ownMs: number): number {
    let ms = aheadMs
    for (const [other, { totalMs }] of waiting) if (other !== kind) ms += Math.min(aheadMs + ownMs, totalMs)
    const pace = ratioOf(work)
    const usualMs = unknown.ms / unknown.tasks
    const busy = [...running].map(({ costMs, since }) =>
      Math.max(0, (costMs === undefined ? usualMs : costMs * pace) - (now() - since)),
    )
    const free = Array.from({ length: Math.max(0, slots - running.size) }, () => 0)
    return filledAfter(ms * pace, [...free, ...busy])
  }

  return {
    add({ kind, client, costMs, onLeave }) {
      const lately = guessesOf(kind)
      const ofKind = waitingOf(kind)
      let held = costMs * ratioOf(lately)
      let isGuess = true
      let isHeld = true
      change(ofKind, client, { ms: held, places: 1 })
      return {
        get costMs() {
          return held
        },
        revise(newMs) {
          if (!isHeld) return
          if (isGuess) learn(lately, costMs, newMs)
          isGuess = false
          change(ofKind, client, { ms: newMs - held, places: 0 })
          held = newMs
        },
        leave() {
          if (!isHeld) return
          isHeld = false
          change(ofKind, client, { ms: -held, places: -1 })
          onLeave?.()
        },
      }
    },
    begin(costMs) {
      const task = { costMs, since: now() }
      running.add(task)
      return () => {
        if (!running.delete(task)) return
        const tookMs = now() - task.since
        if (costMs !== undefined) return learn(work, costMs, tookMs)
        unknown.tasks = unknown.tasks * MEMORY + 1
        unknown.ms = unknown.ms * MEMORY + tookMs
      }
    },
    waitMs: (kind) => waitAfter(kind, waitingOf(kind).totalMs, 0),
    waitInTurnMs({ kind, client, costMs }) {
      const ofKind = waitingOf(kind)
      const ownMs = costMs * ratioOf(guessesOf(kind))
      const before = ofKind.byClient.get(client)?.ms ?? 0
      let ahead = before
      for (const [other, { ms }] of ofKind.byClient) if (other !== client) ahead += Math.min(before + ownMs, ms)
      return waitAfter(kind, ahead, ownMs)
    },
  }
}

/** Sums that nothing is left of begin anew, so that what rounding leaves does not add up. */
function change(ofKind: Waiting, client: string, by: { readonly ms: number; readonly places: number }): void {
  const own = ofKind.byClient.get(client) ?? { ms: 0, places: 0 }
  own.ms = Math.max(0, own.ms + by.ms)
  own.places += by.places
  if (own.places > 0) ofKind.byClient.set(client, own)
  else ofKind.byClient.delete(client)
  ofKind.places += by.places
  ofKind.totalMs = ofKind.places > 0 ? Math.max(0, ofKind.totalMs + by.ms) : 0
}

function learn(lately: Lately, expectedMs: number, cameToMs: number): void {
  const mostMs = MOST * ratioOf(lately) * expectedMs
  lately.expectedMs = lately.expectedMs * MEMORY + expectedMs
  lately.cameToMs = lately.cameToMs * MEMORY + Math.min(cameToMs, mostMs)
}

function ratioOf({ expectedMs, cameToMs }: Lately): number {
  return cameToMs / expectedMs
}

/**
 * When so much work is done, if each slot takes what is next as soon as it can: one long task keeps one slot, not all of them.
 * @param busyMs How long each slot is busy with what it has, at least one slot.
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
