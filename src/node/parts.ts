/** The order of the shutdown: a phase begins when everything of the one before it has ended. */
const PHASES = ['requests', 'work', 'renders', 'connections', 'log'] as const
type Phase = (typeof PHASES)[number]

/** The life cycle of a part of a node; each part declares what it has. */
interface Life {
  /** In the order of the list. A failure ends the start. */
  start?(): Promise<void> | void
  stop?(): Promise<unknown> | void
  /** Drops entries of these images from memory. */
  forget?(ids: ReadonlySet<string>): void
  /** Background tasks in progress or waiting. */
  readonly pending?: number
}

/** The parts of a node, in starting order. Start, shutdown and forgetting iterate over this list. */
export interface Parts {
  /** @param phase Phase in which it stops. @returns `part`. */
  add<T extends Life>(part: T, phase?: Phase): T
  start(): Promise<void>
  /** Phase by phase; within a phase concurrently. */
  stop(): Promise<void>
  forget(ids: ReadonlySet<string>): void
  readonly pending: number
}

export function createParts(): Parts {
  const parts: { readonly life: Life; readonly phase: Phase }[] = []
  return {
    add(part, phase = 'work') {
      parts.push({ life: part, phase })
      return part
    },
    async start() {
      for (const { life } of parts) await life.start?.()
    },
    async stop() {
      for (const phase of PHASES) {
        const ending = parts.filter((part) => part.phase === phase)
        await Promise.all(ending.map(async ({ life }) => await life.stop?.()))
      }
    },
    forget(ids) {
      for (const { life } of parts) life.forget?.(ids)
    },
    get pending() {
      return parts.reduce((sum, { life }) => sum + (life.pending ?? 0), 0)
    },
  }
}

/** A task that is repeated until the node stops. */
export interface Repeating {
  /** Resolves after the first run. */
  start(): Promise<void>
  /** Begins the next run soon: at most 20 runs a second begin in this way. */
  wake(): void
  /** Aborts the task's signal, and resolves when the task has ended. */
  stop(): Promise<void>
}

/** From the start of one run to that of the next, if it is woken. */
const LEAST_SPACING_MS = 50

/** @param pauseMs From the end of one run to the start of the next. @param task Reports its own failures: it never rejects. */
export function repeating(pauseMs: number, task: (signal: AbortSignal) => Promise<void>): Repeating {
  const stopping = new AbortController()
  const { signal } = stopping
  let loop = Promise.resolve()
  let pausing = new AbortController()
  let isWanted = false
  let began = -Infinity

  async function run(): Promise<void> {
    // A run that is in progress may have passed what the next one is wanted for.
    isWanted = false
    began = performance.now()
    await task(signal)
  }

  async function rest(): Promise<void> {
    pausing = new AbortController()
    if (!isWanted) await delay(pauseMs, pausing.signal)
    if (isWanted) await delay(Math.max(0, began + LEAST_SPACING_MS - performance.now()), signal)
  }

  async function repeatAfter(first: Promise<void>): Promise<void> {
    await first
    while (!signal.aborted) {
      await rest()
      if (!signal.aborted) await run()
    }
  }

  return {
    async start() {
      const first = run()
      loop = repeatAfter(first)
      await first
    },
    wake() {
      isWanted = true
      pausing.abort()
    },
    async stop() {
      stopping.abort()
      pausing.abort()
      await loop
    },
  }
}

/** Ends early, without an error, when `signal` aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, signal?.aborted ? 0 : ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}
