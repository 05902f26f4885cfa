import {
  type ChildEnd,
  type RendererChild,
  type RendererChildOptions,
  startRendererChild,
  type TaskEnd,
} from './renderer-child.ts'
import type { RendererOutcome, RendererReady, RendererTask } from './renderer-messages.ts'

/** Why a renderer is gone: by itself, because of a task that took too long, or because it had grown too large. */
export type RendererEnd = 'crashed' | 'timed_out' | 'replaced'

/** Room for one renderer, and what keeps one in it. */
export interface RendererSlot {
  /** `idle`: it takes a task. `starting`: there is none, but soon. */
  readonly state: 'starting' | 'idle' | 'busy' | 'stopped'
  readonly residentBytes: number
  readonly pid: number | undefined
  /** Does a task in an idle slot. @param onPart Called with each part as soon as it is there. */
  run(task: RendererTask, onPart: (part: number, outcome: RendererOutcome) => void): Promise<TaskEnd>
  /** Ends the renderer at once; resolves when it has ended. */
  stop(): Promise<void>
}

export interface RendererSlotOptions extends Omit<RendererChildOptions, 'onEnd'> {
  /** A renderer that holds more than this after two tasks in a row is replaced. Bytes. */
  readonly maxResidentBytes: number
  /** One that holds more than this and has had nothing to do for `idleMs` is replaced too. Bytes. */
  readonly maxIdleBytes: number
  readonly idleMs: number
  /** The renderer is gone, and another one is on its way. @param how For the log. */
  onGone(end: RendererEnd, how: string): void
}

/** After a second end without a finished task in between: doubling from the one to the other. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2000

/** Keeps a renderer running: one that ends is followed by another, and one that has grown too large is replaced. */
export function createRendererSlot(options: RendererSlotOptions): RendererSlot {
  const { maxResidentBytes, maxIdleBytes, idleMs, onReady, onGone } = options
  let child: RendererChild | undefined
  let state: RendererSlot['state'] = 'starting'
  let ends = 0
  let largeInARow = 0
  let replacing = false
  /** Starts the next renderer, or replaces a large one that is idle: never both. */
  let timer: NodeJS.Timeout | undefined
  const stopped = Promise.withResolvers<void>()

  function start(): void {
    const started = (ready: RendererReady) => {
      // It said so before it was killed.
      if (state === 'stopped') return
      state = 'idle'
      onReady(ready)
    }
    try {
      child = startRendererChild({ ...options, onReady: started, onEnd })
    } catch (error) {
      // No memory or file descriptor for a process, for now.
      onEnd('crashed', String(error))
    }
  }

  function onEnd(end: ChildEnd, how: string): void {
    clearTimeout(timer)
    child = undefined
    if (state === 'stopped') {
      stopped.resolve()
      return
    }
    state = 'starting'
    largeInARow = 0
    ends += 1
    timer = setTimeout(start, ends < 2 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (ends - 2)))
    onGone(replacing ? 'replaced' : end, how)
    replacing = false
  }

  /** What an allocator keeps for itself after one large picture is often used by the next; only what stays up is too much. */
  function isTooLarge(residentBytes: number): boolean {
    largeInARow = residentBytes > maxResidentBytes ? largeInARow + 1 : 0
    return largeInARow >= 2
  }

  function replace(running: RendererChild): void {
    state = 'starting'
    replacing = true
    running.kill()
  }

  start()
  return {
    get state() {
      return state
    },
    get residentBytes() {
      return child?.residentBytes ?? 0
    },
    get pid() {
      return child?.pid
    },
    async run(task, onPart) {
      if (child === undefined || state !== 'idle') throw new TypeError('A task was sent to a renderer that is not idle')
      clearTimeout(timer)
      state = 'busy'
      const running = child
      const end = await running.run(task, onPart)
      if (end !== 'done' || state !== 'busy') return end
      ends = 0
      if (isTooLarge(running.residentBytes)) {
        replace(running)
        return end
      }
      state = 'idle'
      if (running.residentBytes > maxIdleBytes) timer = setTimeout(() => replace(running), idleMs).unref()
      return end
    },
    stop() {
      clearTimeout(timer)
      state = 'stopped'
      if (child === undefined) stopped.resolve()
      else child.kill()
      return stopped.promise
    },
  }
}
