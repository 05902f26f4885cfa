import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { ImageEngine } from '../../service/ports/engine.ts'
import type { Meter } from '../../service/ports/meter.ts'
import type { SharpEngineOptions } from '../sharp/sharp-engine.ts'
import { createRendererJob, type RendererJob } from './renderer-job.ts'
import type { RendererReady, RendererTask, RendererValue } from './renderer-messages.ts'
import { createRendererRefusals } from './renderer-refusals.ts'
import { createRendererSlot, type RendererEnd, type RendererSlot } from './renderer-slot.ts'

/**
 * The engine, in processes of its own: what crashes a decoder ends one of them, and never the node. Further to what an
 * engine throws: OriginalError `original_broken` for an image that crashed the decoder twice, UnavailableError `timed_out`
 * for a task that had to be ended by force, and `overloaded` while no renderer can be started.
 */
export interface RendererPool extends ImageEngine {
  /**
   * Resolves as soon as there is a renderer.
   * @throws UnavailableError `overloaded` if none comes up in time: then this pool has ended.
   */
  ready(): Promise<Pick<RendererReady, 'pipelineMtimeSeconds'>>
  /** Ends all renderers at once, whatever they do; resolves when they have ended. */
  stop(): Promise<void>
  readonly counters: RendererCounters
}

/** Since the start, but for the memory, which is of now. */
export interface RendererCounters {
  /** Renderers that ended without being told to. */
  readonly crashes: number
  /** Renderers that were ended because of a task that took too long. */
  readonly timeouts: number
  /** Renderers that were ended because their memory stayed up. */
  readonly replaced: number
  /** Resident memory of all renderers, as each last reported it; what they share counts for each. */
  readonly residentBytes: number
}

export interface RendererPoolOptions {
  /** How many renderers, each with one task at a time. At least 1. */
  readonly slots: number
  readonly engine: SharpEngineOptions
  readonly meter: Pick<Meter, 'trouble'>
  /** Folder for the renderers' compiled code, which nobody else may write to. Absent: each start compiles it. */
  readonly codeFolder?: string
  /** A renderer that holds more than this after two tasks in a row is replaced. */
  readonly maxResidentBytes?: number
  /** So is one that holds more than this and has had nothing to do for `idleMs`. */
  readonly maxIdleBytes?: number
  readonly idleMs?: number
  /** Tasks that take more than this together, as estimated, are not done at once. Default: no limit. */
  readonly memoryBytes?: number
  /** A renderer that reports nothing for so long is ended by force. Default: a second more than the engine's own timeout. */
  readonly taskTimeoutMs?: number
  /** How long an image that crashed the decoder is refused. */
  readonly refuseMs?: number
  /** How long callers wait while there is no renderer at all. */
  readonly outageMs?: number
}

const MAX_RESIDENT_BYTES = 256 * 1024 ** 2
/** A third more than one holds that has made nothing large: what allocators keep is given back when nobody needs it. */
const MAX_IDLE_BYTES = 128 * 1024 ** 2
const IDLE_MS = 30_000
const REFUSE_MS = 60_000
/** A start takes a tenth of a second of CPU; a machine may have much else to do. */
const START_TIMEOUT_MS = 20_000
const OUTAGE_MS = 5000
const MAX_CRASHES = 2
/** libvips cannot end what reads a header or draws a drawing; sound ones take less than a second. */
const QUICK_TIMEOUT_MS = 8000

export function createRendererPool(options: RendererPoolOptions): RendererPool {
  const { engine, meter, codeFolder, maxResidentBytes = MAX_RESIDENT_BYTES } = options
  const { memoryBytes = Infinity } = options
  const { taskTimeoutMs = (engine.timeoutSeconds + 1) * 1000, outageMs = OUTAGE_MS } = options
  const refusals = createRendererRefusals(options.refuseMs ?? REFUSE_MS)
  const ends: Record<RendererEnd, number> = { crashed: 0, timed_out: 0, replaced: 0 }
  const ahead: RendererJob[] = []
  const inOrder: RendererJob[] = []
  const slots: RendererSlot[] = []
  const firstReady = Promise.withResolvers<RendererReady>()
  // Whoever asks for it hears of its failure.
  firstReady.promise.catch(() => {})
  const startTimer = setTimeout(() => void shutDown(noRenderer()), START_TIMEOUT_MS)
  let outageTimer: NodeJS.Timeout | undefined
  /** Of the tasks under way. */
  let takenBytes = 0
  /** Why nothing can be done: there has been no renderer for too long, or this is about to stop. */
  let closed: UnavailableError | undefined

  function timeoutOf(task: RendererTask): number {
    return isQuick(task) ? Math.min(QUICK_TIMEOUT_MS, taskTimeoutMs) : taskTimeoutMs
  }

  function submit(task: RendererTask): readonly Promise<RendererValue>[] {
    const job = createRendererJob(task)
    const refusal = closed ?? refusalOf(job)
    // What only reads a header must not wait for those that render.
    const queue = task.kind === 'inspect' ? ahead : inOrder
    if (refusal) job.reject(refusal)
    else queue.push(job)
    dispatch()
    return job.parts
  }

  async function only(task: RendererTask): Promise<RendererValue> {
    const [value] = submit(task)
    if (value === undefined) throw new RangeError('A task must have at least one part')
    return await value
  }

  function refusalOf({ task }: RendererJob): OriginalError | undefined {
    if (taskMemory(task) > memoryBytes) return takesTooMuch(taskMemory(task), memoryBytes)
    return refusals.has(task.source) ? crashesDecoder() : undefined
  }

  function dispatch(): void {
    for (;;) {
      // Not in turn: while there is little to do, the last ones stay small.
      const slot = slots.find(({ state }) => state === 'idle')
      if (slot === undefined) return
      const queue = ahead.length > 0 ? ahead : inOrder
      const [job] = queue
      // Nobody goes before one that waits for memory: it would wait for ever.
      if (job === undefined || (takenBytes > 0 && takenBytes + taskMemory(job.task) > memoryBytes)) return
      queue.shift()
      const refusal = refusalOf(job)
      if (refusal) job.reject(refusal)
      else void perform(slot, job)
    }
  }

  async function perform(slot: RendererSlot, job: RendererJob): Promise<void> {
    const bytes = taskMemory(job.task)
    takenBytes += bytes
    const end = await slot.run(job.task, job.settle)
    takenBytes -= bytes
    if (end === 'done') job.reject(new Error('A renderer finished a task without all of its parts'))
    else if (end === 'timed_out') job.reject(tookTooLong(job.task))
    else if (closed) job.reject(closed)
    else retry(job)
    dispatch()
  }

  /** At once, as it has waited already. */
  function retry(job: RendererJob): void {
    for (const alone of job.split()) {
      if (alone.crashes < MAX_CRASHES) {
        ahead.unshift(alone)
        continue
      }
      const { source } = alone.task
      refusals.add(source)
      alone.reject(crashesDecoder())
      meter.trouble(
        'An image crashed the decoder twice and is temporarily refused',
        new Error('path' in source ? source.path : 'an image in memory'),
      )
    }
  }

  function close(reason: UnavailableError): void {
    closed = reason
    for (const job of [...ahead.splice(0), ...inOrder.splice(0)]) job.reject(reason)
  }

  async function shutDown(reason: UnavailableError): Promise<void> {
    clearTimeout(startTimer)
    clearTimeout(outageTimer)
    close(reason)
    firstReady.reject(reason)
    await Promise.all(slots.map((slot) => slot.stop()))
  }

  function onReady(ready: RendererReady): void {
    firstReady.resolve(ready)
    clearTimeout(startTimer)
    clearTimeout(outageTimer)
    outageTimer = undefined
    closed = undefined
    dispatch()
  }

  function onGone(end: RendererEnd, how: string): void {
    ends[end] += 1
    if (end !== 'replaced') meter.trouble('A renderer exited and is being restarted', new Error(how))
    expectRenderer()
  }

  function expectRenderer(): void {
    if (slots.every(({ state }) => state === 'starting'))
      outageTimer ??= setTimeout(() => close(noRenderer()), outageMs)
  }

  function addSlots(count: number): void {
    const { maxIdleBytes = MAX_IDLE_BYTES, idleMs = IDLE_MS } = options
    const memory = { maxResidentBytes, maxIdleBytes, idleMs }
    const limits = { ...memory, taskTimeoutMs: timeoutOf, startTimeoutMs: START_TIMEOUT_MS }
    const code = codeFolder === undefined ? {} : { codeFolder }
    while (slots.length < count) slots.push(createRendererSlot({ engine, ...code, ...limits, onReady, onGone }))
  }

  addSlots(1)
  // The others find compiled code, and a machine of many cores is not kept busy by all of them compiling the same.
  firstReady.promise.then(() => addSlots(options.slots)).catch(() => {})
  expectRenderer()

  return {
    async inspect(source) {
      const value = await only({ kind: 'inspect', source })
      return value.kind === 'inspect' ? value.facts : mistaken(value)
    },
    async verify(source, facts) {
      await only({ kind: 'verify', source, facts })
    },
    async measure(source, facts) {
      const value = await only({ kind: 'measure', source, facts })
      return value.kind === 'measure' ? value.info : mistaken(value)
    },
    async reduce(source, facts, levels) {
      const value = await only({ kind: 'reduce', source, facts, levels })
      return value.kind === 'reduce' ? value.reduced : mistaken(value)
    },
    render(source, plans) {
      // One that is refused for its memory must not take the others with it.
      const isAny = plans.some((plan) => plan.memoryBytes > memoryBytes)
      const tasks = isAny ? plans.map((plan) => [plan]) : [plans]
      const parts = tasks.flatMap((together) => submit({ kind: 'render', source, plans: together }))
      return parts.map((part) => part.then((value) => (value.kind === 'render' ? value.bytes : mistaken(value))))
    },
    ready: () => firstReady.promise,
    stop: () => shutDown(new UnavailableError('overloaded', 'This node is shutting down')),
    counters: {
      get crashes() {
        return ends.crashed
      },
      get timeouts() {
        return ends.timed_out
      },
      get replaced() {
        return ends.replaced
      },
      get residentBytes() {
        return slots.reduce((sum, slot) => sum + slot.residentBytes, 0)
      },
    },
  }
}

function noRenderer(): UnavailableError {
  return new UnavailableError('overloaded', 'No renderer is available at the moment')
}

/** What it takes at its most: the plans of a render are made one after the other. */
function taskMemory(task: RendererTask): number {
  if (task.kind === 'render') return Math.max(0, ...task.plans.map((plan) => plan.memoryBytes))
  return task.kind === 'inspect' ? 0 : (task.facts.decodingBytes ?? 0)
}

function isQuick(task: RendererTask): boolean {
  return task.kind === 'inspect' || isDrawing(task)
}

function isDrawing(task: RendererTask): boolean {
  if (task.kind === 'render') return task.plans.some(({ drawing }) => drawing)
  return task.kind !== 'inspect' && task.facts.format === 'svg'
}

/** Whatever its size, a drawing can take any time: that is its fault. Elsewhere it may be the machine that is slow. */
function tookTooLong(task: RendererTask): Error {
  if (isDrawing(task)) return new OriginalError('original_too_large', 'This SVG takes too long to render')
  if (isQuick(task)) return new UnavailableError('overloaded', 'Inspecting this image took too long; try again')
  return new UnavailableError('timed_out', 'Rendering this image took too long (RENDER_TIMEOUT_SECONDS)')
}

function takesTooMuch(bytes: number, limit: number): OriginalError {
  const [needed, most] = [formatByteAmount(bytes), formatByteAmount(limit)]
  return new OriginalError(
    'original_too_large',
    `Rendering this image requires ${needed} of memory; the limit is ${most} (RENDER_MEMORY_BYTES)`,
  )
}

function crashesDecoder(): OriginalError {
  return new OriginalError('original_broken', 'This image is damaged: it crashes the decoder')
}

function mistaken({ kind }: RendererValue): never {
  throw new TypeError(`A renderer answered a different task: ${kind}`)
}
