import { type ChildProcess, fork } from 'node:child_process'
import { getPriority, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { SharpEngineOptions } from '../sharp/sharp-engine.ts'
import {
  assertRendererReport,
  type RendererOrder,
  type RendererOutcome,
  type RendererReady,
  type RendererTask,
} from './renderer-messages.ts'

/** How a renderer ended without being told to: by itself, or by force because it was late with a task. */
export type ChildEnd = 'crashed' | 'timed_out'
/** How a task ended: with a report of all its parts, or with the renderer. */
export type TaskEnd = 'done' | ChildEnd

/** A renderer as the node sees it, from its start to its end. */
export interface RendererChild {
  /** Of the last report; 0 before the first. */
  readonly residentBytes: number
  readonly pid: number | undefined
  /** Does a task; the last one must have ended. @param onPart Called with each part as soon as it is there. */
  run(task: RendererTask, onPart: (part: number, outcome: RendererOutcome) => void): Promise<TaskEnd>
  /** Ends the process at once. */
  kill(): void
}

export interface RendererChildOptions {
  readonly engine: SharpEngineOptions
  /** Folder for compiled code, which nobody else may write to; made when it is missing. */
  readonly codeFolder?: string
  /** A task that reports nothing for so long is ended with its process. */
  taskTimeoutMs(task: RendererTask): number
  /** The same for the start. */
  readonly startTimeoutMs: number
  onReady(ready: RendererReady): void
  /** Called once, when the process is gone or could not be started. @param how For the log. */
  onEnd(end: ChildEnd, how: string): void
}

const ENTRY = fileURLToPath(new URL('../../renderer.ts', import.meta.url))

/**
 * All that a renderer sees of an environment: above all none of the node's credentials. glibc gives each thread a heap of
 * its own and hardly shrinks it: after 120 mixed renders a renderer held 224 MB by default, 141 with two heaps, 124 with
 * one, and 114 MB with fixed thresholds above which memory goes back to the kernel. Lower ones save 10 MB more, and take
 * small JPEGs a tenth longer. One task needs few threads. See docs/benchmarks.md.
 */
const ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '8388608',
  MALLOC_MMAP_THRESHOLD_: '4194304',
  UV_THREADPOOL_SIZE: '4',
} as const
/** Pictures are no objects of V8's: a small young generation keeps its heap small. */
const NODE_OPTIONS = ['--max-semi-space-size=1'] as const

/**
 * The node, which answers everybody, goes first where a core is wanted by both; idle cores are used all the same. Nobody but
 * root may raise what has been lowered, by `nice` or for an import.
 */
const NICENESS = 10

/** Starts a renderer. It ends by `kill`, by itself, or with the node, which it does not keep running while it is idle. */
function startRendererChild(options: RendererChildOptions): RendererChild {
  const { engine, codeFolder, taskTimeoutMs, startTimeoutMs, onReady, onEnd } = options
  const child = fork(ENTRY, [], {
    serialization: 'advanced',
    execArgv: [...NODE_OPTIONS],
    // With the code compiled before, a renderer starts in half the time and needs no compiler: 27 MB less.
    env: { ...ENVIRONMENT, ...(codeFolder !== undefined && { NODE_COMPILE_CACHE: codeFolder }) },
    // What it has to say beside its reports is for whoever reads the node's errors.
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  if (child.pid !== undefined) setPriority(child.pid, Math.max(NICENESS, getPriority()))
  let residentBytes = 0
  let running: { onPart(part: number, outcome: RendererOutcome): void; end(how: TaskEnd): void } | undefined
  let lateness: 'timed out at startup' | 'timed out in a task' | undefined
  let timer = setTimeout(() => kill('timed out at startup'), startTimeoutMs)

  /** Only a renderer from which something is expected keeps the node running: one that fails to start must end by itself. */
  function expect(something: boolean): void {
    const change = something ? 'ref' : 'unref'
    child[change]()
    child.channel?.[change]()
  }

  function kill(why: typeof lateness): void {
    lateness = why
    child.kill('SIGKILL')
  }

  function endTask(how: TaskEnd): void {
    clearTimeout(timer)
    expect(false)
    running?.end(how)
    running = undefined
  }

  child.on('message', (message: unknown) => {
    assertRendererReport(message)
    switch (message.kind) {
      case 'ready':
        clearTimeout(timer)
        expect(false)
        residentBytes = message.residentBytes
        onReady(message)
        return
      case 'part':
        timer.refresh()
        running?.onPart(message.part, message.outcome)
        return
      case 'end':
        residentBytes = message.residentBytes
        endTask('done')
    }
  })
  whenGone(child, (how) => {
    residentBytes = 0
    const end = lateness === 'timed out in a task' ? 'timed_out' : 'crashed'
    onEnd(end, lateness ?? how)
    endTask(end)
  })
  tell(child, { engine })

  return {
    get residentBytes() {
      return residentBytes
    },
    get pid() {
      return child.pid
    },
    run(task, onPart) {
      const { promise, resolve } = Promise.withResolvers<TaskEnd>()
      running = { onPart, end: resolve }
      expect(true)
      timer = setTimeout(() => kill('timed out in a task'), taskTimeoutMs(task))
      tell(child, { task })
      return promise
    },
    kill() {
      expect(true)
      child.kill('SIGKILL')
    },
  }
}

/** One that is gone hears nothing, and its end is told by `whenGone`. */
function tell(child: ChildProcess, order: RendererOrder): void {
  if (child.connected) child.send(order, () => {})
}

/** Calls back once: the process has ended, or could not be started. */
function whenGone(child: ChildProcess, onGone: (how: string) => void): void {
  let gone = false
  const once = (how: string) => {
    if (!gone) onGone(how)
    gone = true
  }
  child.once('exit', (code, signal) => once(signal ?? `exit code ${code}`))
  // Also comes of a message that did not arrive; then the process still has to end.
  child.on('error', (error) => {
    if (child.pid === undefined) once(error.message)
    else child.kill('SIGKILL')
  })
}

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
