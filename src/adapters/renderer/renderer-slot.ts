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

/** How a renderer ended: by a crash, or killed because of a timeout. */
export type ChildEnd = 'crashed' | 'timed_out'
/** How a task ended: complete, or with its renderer. */
export type TaskEnd = 'done' | ChildEnd

/** A renderer from its start to its end, on the side of the node. */
export interface RendererChild {
  /** By the last report; 0 before the first. */
  readonly residentBytes: number
  readonly pid: number | undefined
  /** Runs a task; the last one must have ended. @param onPart Called with each part as soon as it is done. */
  run(task: RendererTask, onPart: (part: number, outcome: RendererOutcome) => void): Promise<TaskEnd>
  kill(): void
}

export interface RendererChildOptions {
  readonly engine: SharpEngineOptions
  /** Folder for compiled code, writable for this user only; made if it is missing. */
  readonly codeFolder?: string
  /** Timeout of a task without a report; its process is killed. */
  taskTimeoutMs(task: RendererTask): number
  readonly startTimeoutMs: number
  onReady(ready: RendererReady): void
  /** Called once, when the process has ended or could not be started. @param how For the log. */
  onEnd(end: ChildEnd, how: string): void
}

const ENTRY = fileURLToPath(new URL('../../renderer.ts', import.meta.url))

/**
 * The environment of a renderer, without the node's credentials. glibc gives each thread a heap of its own and hardly
 * shrinks it: after 120 mixed renders a renderer used 224 MB by default, 141 with two heaps, 124 with one, and 114 MB
 * with fixed thresholds above which memory goes back to the kernel. Lower ones save another 10 MB, but small JPEGs take
 * a tenth longer. One task needs few threads. See docs/benchmarks.md.
 */
const ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '8388608',
  MALLOC_MMAP_THRESHOLD_: '4194304',
  UV_THREADPOOL_SIZE: '4',
} as const
/** Pictures are not on V8's heap, so a small young generation is enough. */
const NODE_OPTIONS = ['--max-semi-space-size=1'] as const

/**
 * The node has precedence over its renderers on a busy core; idle cores are still used. Only root may raise a priority
 * that was lowered, by `nice` or for an import.
 */
const NICENESS = 10

/**
 * Starts a renderer. It ends by `kill`, by itself, or with the node. An idle renderer does not keep the node running.
 */
function startRendererChild(options: RendererChildOptions): RendererChild {
  const { engine, codeFolder, taskTimeoutMs, startTimeoutMs, onReady, onEnd } = options
  const child = fork(ENTRY, [], {
    serialization: 'advanced',
    execArgv: [...NODE_OPTIONS],
    // With compiled code a renderer starts in half the time and uses 27 MB less.
    env: { ...ENVIRONMENT, ...(codeFolder !== undefined && { NODE_COMPILE_CACHE: codeFolder }) },
    // Its output goes to the standard error of the node.
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  if (child.pid !== undefined) setPriority(child.pid, Math.max(NICENESS, getPriority()))
  let residentBytes = 0
  let running: { onPart(part: number, outcome: RendererOutcome): void; end(how: TaskEnd): void } | undefined
  let lateness: 'timed out at startup' | 'timed out in a task' | undefined
  let timer = setTimeout(() => kill('timed out at startup'), startTimeoutMs)

  /** Only a starting or busy renderer keeps the node running: a node that fails to start must end by itself. */
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
        if (message.residentBytes === undefined) return
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

/** A process that has ended gets no message; `whenGone` reports its end. */
function tell(child: ChildProcess, order: RendererOrder): void {
  if (child.connected) child.send(order, () => {})
}

/** Calls back once, when the process has ended or could not be started. */
function whenGone(child: ChildProcess, onGone: (how: string) => void): void {
  let gone = false
  const once = (how: string) => {
    if (!gone) onGone(how)
    gone = true
  }
  child.once('exit', (code, signal) => once(signal ?? `exit code ${code}`))
  // The event also reports a message that was not delivered; then the process must be ended.
  child.on('error', (error) => {
    if (child.pid === undefined) once(error.message)
    else child.kill('SIGKILL')
  })
}

/** Why a renderer has ended: a crash, a task that took too long, or its memory. */
export type RendererEnd = 'crashed' | 'timed_out' | 'replaced'

/** A slot, which keeps one renderer running. */
export interface RendererSlot {
  /** `idle`: ready for a task. `starting`: no renderer yet. */
  readonly state: 'starting' | 'idle' | 'busy' | 'stopped'
  readonly residentBytes: number
  readonly pid: number | undefined
  /** Runs a task in an idle slot. @param onPart Called with each part as soon as it is done. */
  run(task: RendererTask, onPart: (part: number, outcome: RendererOutcome) => void): Promise<TaskEnd>
  /** Kills the renderer; resolves when it has ended. */
  stop(): Promise<void>
}

export interface RendererSlotOptions extends Omit<RendererChildOptions, 'onEnd'> {
  /** A renderer that uses more after two consecutive tasks is replaced. Bytes. */
  readonly maxResidentBytes: number
  /** A renderer that uses more and is idle for `idleMs` is replaced. Bytes. */
  readonly maxIdleBytes: number
  readonly idleMs: number
  /** The renderer has ended, and another one is starting. @param how For the log. */
  onGone(end: RendererEnd, how: string): void
}

/** Pauses from the second end without a finished task in between: doubling, from minimum to maximum. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2000

/**
 * Keeps a renderer running: another one is started when it ends, and it is replaced when its memory has grown too
 * large.
 */
export function createRendererSlot(options: RendererSlotOptions): RendererSlot {
  const { maxResidentBytes, maxIdleBytes, idleMs, onReady, onGone } = options
  let child: RendererChild | undefined
  let state: RendererSlot['state'] = 'starting'
  let ends = 0
  let largeInARow = 0
  let replacing = false
  /** Starts the next renderer, or replaces a large idle one: never both. */
  let timer: NodeJS.Timeout | undefined
  const stopped = Promise.withResolvers<void>()

  function start(): void {
    const started = (ready: RendererReady) => {
      // It was ready before it was killed.
      if (state === 'stopped') return
      state = 'idle'
      onReady(ready)
    }
    try {
      child = startRendererChild({ ...options, onReady: started, onEnd })
    } catch (error) {
      // No memory or file descriptor for a process.
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

  /** Memory that an allocator keeps after a large picture is often reused by the next; only lasting use is too much. */
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
