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
export function startRendererChild(options: RendererChildOptions): RendererChild {
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
