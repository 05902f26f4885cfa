import { readJpegHeader } from '../../domain/picture/jpeg-header.ts'
import { assertPictureLimits } from '../../domain/picture/original-facts.ts'
import { UnavailableError } from '../../errors.ts'
import type { ImageEngine } from '../../service/ports/engine.ts'
import type { Meter } from '../../service/ports/meter.ts'
import type { SharpEngineOptions } from '../sharp/sharp-engine.ts'
import type { RendererReady, RendererTask, RendererValue } from './renderer-messages.ts'
import { createRendererQueue, isQuick, type RendererQueue } from './renderer-queue.ts'
import { createRendererSlot, type RendererEnd, type RendererSlot, type RendererSlotOptions } from './renderer-slot.ts'

/**
 * The engine in separate processes: an image that crashes a decoder ends one of them, and never the node. In addition
 * to the errors of an engine it throws: OriginalError `original_broken` for an image that crashed the decoder twice,
 * UnavailableError `timed_out` for a task that was killed, and `overloaded` while no renderer can be started.
 */
export interface RendererPool extends ImageEngine {
  /**
   * Resolves as soon as there is a renderer.
   * @throws UnavailableError `overloaded` if none starts in time: then this pool has ended.
   */
  ready(): Promise<Pick<RendererReady, 'pipelineMtimeSeconds'>>
  /** Kills all renderers; resolves when they have ended. */
  stop(): Promise<void>
  readonly counters: RendererCounters
}

/** Counts since the start, and the current memory. */
export interface RendererCounters {
  /** Renderers that crashed. */
  readonly crashes: number
  /** Renderers that were killed because of a task that took too long. */
  readonly timeouts: number
  /** Renderers that were replaced because of their memory. */
  readonly replaced: number
  /** Resident memory of all renderers, as last reported; shared memory counts for each. */
  readonly residentBytes: number
}

export interface RendererPoolOptions {
  /** Number of renderers, each with one task at a time. At least 1. */
  readonly slots: number
  readonly engine: SharpEngineOptions
  readonly meter: Pick<Meter, 'trouble'>
  /** Folder for the compiled code of the renderers, writable for this user only. Absent: each start compiles it. */
  readonly codeFolder?: string
  /** A renderer that uses more after two consecutive tasks is replaced. */
  readonly maxResidentBytes?: number
  /** A renderer that uses more and is idle for `idleMs` is replaced. */
  readonly maxIdleBytes?: number
  readonly idleMs?: number
  /** Maximum estimated memory of concurrent tasks. Default: no limit. */
  readonly memoryBytes?: number
  /** A renderer without a report for this time is killed. Default: a second more than the engine's timeout. */
  readonly taskTimeoutMs?: number
  /** Time for which an image that crashed the decoder is refused. */
  readonly refuseMs?: number
  /** Time for which callers wait while there is no renderer. */
  readonly outageMs?: number
}

const MAX_RESIDENT_BYTES = 256 * 1024 ** 2
/** A third more than after small tasks: allocators keep memory that is not needed. */
const MAX_IDLE_BYTES = 128 * 1024 ** 2
const IDLE_MS = 30_000
const REFUSE_MS = 60_000
/** A start takes a tenth of a second of CPU, but the machine may be busy. */
const START_TIMEOUT_MS = 20_000
const OUTAGE_MS = 5000
const QUICK_TIMEOUT_MS = 8000

export function createRendererPool(options: RendererPoolOptions): RendererPool {
  const { meter, memoryBytes = Infinity, refuseMs = REFUSE_MS, outageMs = OUTAGE_MS } = options
  const ends: Record<RendererEnd, number> = { crashed: 0, timed_out: 0, replaced: 0 }
  const slots: RendererSlot[] = []
  const queue = createRendererQueue({ slots, meter, memoryBytes, refuseMs })
  const firstReady = Promise.withResolvers<RendererReady>()
  // Its failure is reported to the caller of `ready`.
  firstReady.promise.catch(() => {})
  const startTimer = setTimeout(() => void shutDown(noRenderer()), START_TIMEOUT_MS)
  let outageTimer: NodeJS.Timeout | undefined

  async function shutDown(reason: UnavailableError): Promise<void> {
    clearTimeout(startTimer)
    clearTimeout(outageTimer)
    queue.close(reason)
    firstReady.reject(reason)
    await Promise.all(slots.map((slot) => slot.stop()))
  }

  function onReady(ready: RendererReady): void {
    firstReady.resolve(ready)
    clearTimeout(startTimer)
    clearTimeout(outageTimer)
    outageTimer = undefined
    queue.open()
  }

  function onGone(end: RendererEnd, how: string): void {
    ends[end] += 1
    if (end !== 'replaced') meter.trouble('A renderer exited and is being restarted', new Error(how))
    expectRenderer()
  }

  function expectRenderer(): void {
    if (slots.every(({ state }) => state === 'starting'))
      outageTimer ??= setTimeout(() => queue.close(noRenderer()), outageMs)
  }

  function addSlots(count: number): void {
    while (slots.length < count) slots.push(createRendererSlot({ ...slotOptions(options), onReady, onGone }))
  }

  addSlots(1)
  // The others find the compiled code, and do not all compile it at once.
  firstReady.promise.then(() => addSlots(options.slots)).catch(() => {})
  expectRenderer()

  return {
    ...engineOn(queue, options),
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

function slotOptions(options: RendererPoolOptions): Omit<RendererSlotOptions, 'onReady' | 'onGone'> {
  const { engine, codeFolder, taskTimeoutMs = (engine.timeoutSeconds + 1) * 1000 } = options
  const { maxResidentBytes = MAX_RESIDENT_BYTES, maxIdleBytes = MAX_IDLE_BYTES, idleMs = IDLE_MS } = options
  return {
    engine,
    ...(codeFolder !== undefined && { codeFolder }),
    maxResidentBytes,
    maxIdleBytes,
    idleMs,
    taskTimeoutMs: (task) => (isQuick(task) ? Math.min(QUICK_TIMEOUT_MS, taskTimeoutMs) : taskTimeoutMs),
    startTimeoutMs: START_TIMEOUT_MS,
  }
}

/** The engine's methods as tasks. */
function engineOn({ submit }: RendererQueue, { engine, memoryBytes = Infinity }: RendererPoolOptions): ImageEngine {
  async function only(task: RendererTask): Promise<RendererValue> {
    const [value] = submit(task)
    if (value === undefined) throw new RangeError('A task must have at least one part')
    return await value
  }

  return {
    async inspect(source, head) {
      const read = head && engine.inputFormats.includes('jpeg') ? readJpegHeader(head) : undefined
      if (read) {
        assertPictureLimits(engine, read)
        return read
      }
      const value = await only({ kind: 'inspect', source })
      return value.kind === 'inspect' ? value.facts : mistaken(value)
    },
    async verify(source, facts, levels) {
      const value = await only({ kind: 'verify', source, facts, levels })
      return value.kind === 'verify' ? value.verified : mistaken(value)
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
      // A plan that is refused for its memory must not affect the others.
      const isAny = plans.some((plan) => plan.memoryBytes > memoryBytes)
      const tasks = isAny ? plans.map((plan) => [plan]) : [plans]
      const parts = tasks.flatMap((together) => submit({ kind: 'render', source, plans: together }))
      return parts.map((part) => part.then((value) => (value.kind === 'render' ? value.bytes : mistaken(value))))
    },
  }
}

function noRenderer(): UnavailableError {
  return new UnavailableError('overloaded', 'No renderer is available at the moment')
}

function mistaken({ kind }: RendererValue): never {
  throw new TypeError(`A renderer answered a different task: ${kind}`)
}
