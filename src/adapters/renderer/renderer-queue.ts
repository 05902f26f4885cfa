import { LRUCache } from 'lru-cache'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { Meter } from '../../service/ports/meter.ts'
import type { ObjectSource } from '../../service/ports/store.ts'
import { fromFailure, type RendererOutcome, type RendererTask, type RendererValue } from './renderer-messages.ts'
import type { RendererSlot } from './renderer-slot.ts'

/** Tasks that wait for a renderer, in order of arrival. */
export interface RendererQueue {
  /** @returns A promise for each part of the task. */
  submit(task: RendererTask): readonly Promise<RendererValue>[]
  /** Rejects all waiting tasks, and new ones until `open`. @param reason There is no renderer, or the node is stopping. */
  close(reason: UnavailableError): void
  /** To be called when there is another idle renderer. */
  open(): void
}

export interface RendererQueueOptions {
  /** The first idle one is given the next task. The owner may add more. */
  readonly slots: readonly RendererSlot[]
  readonly meter: Pick<Meter, 'trouble'>
  /** Tasks that take more than this together, as estimated, are not done at once. */
  readonly memoryBytes: number
  /** How long an image that crashed the decoder is refused. */
  readonly refuseMs: number
}

const MAX_CRASHES = 2

export function createRendererQueue({ slots, meter, memoryBytes, refuseMs }: RendererQueueOptions): RendererQueue {
  const refusals = createRefusals(refuseMs)
  const ahead: RendererJob[] = []
  const inOrder: RendererJob[] = []
  /** Of the tasks under way. */
  let takenBytes = 0
  let closed: UnavailableError | undefined

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

  return {
    submit,
    close,
    open() {
      closed = undefined
      dispatch()
    },
  }
}

/** A task, and those who wait for its parts: the plans of a render, or the one value of anything else. */
interface RendererJob {
  readonly task: RendererTask
  readonly parts: readonly Promise<RendererValue>[]
  /** How often it crashed a renderer while it had one part only. */
  readonly crashes: number
  /** A part is there. A second outcome of it changes nothing. */
  settle(part: number, outcome: RendererOutcome): void
  /** All that is not there yet will not come. */
  reject(error: Error): void
  /** After a crash: what is not there yet, each part alone, so that it shows which of them crashes. */
  split(): readonly RendererJob[]
}

interface Part extends PromiseWithResolvers<RendererValue> {
  /** For this part alone. */
  readonly task: RendererTask
  settled: boolean
}

function createRendererJob(task: RendererTask): RendererJob {
  const alone = task.kind === 'render' ? task.plans.map((plan) => ({ ...task, plans: [plan] })) : [task]
  return jobOf(
    task,
    alone.map((each) => {
      const part = { ...Promise.withResolvers<RendererValue>(), task: each, settled: false }
      // Whoever waits for it hears of its failure; one that nobody waits for yet must not end the node.
      part.promise.catch(() => {})
      return part
    }),
    0,
  )
}

function jobOf(task: RendererTask, parts: readonly Part[], crashes: number): RendererJob {
  const crashesNow = parts.length === 1 ? crashes + 1 : 0
  return {
    task,
    parts: parts.map(({ promise }) => promise),
    crashes,
    settle(index, outcome) {
      const part = parts[index]
      if (part === undefined) throw new RangeError(`There is no part ${index}`)
      part.settled = true
      if ('value' in outcome) part.resolve(outcome.value)
      else part.reject(fromFailure(outcome.failure))
    },
    reject(error) {
      for (const part of parts.filter(({ settled }) => !settled)) {
        part.settled = true
        part.reject(error)
      }
    },
    split: () => parts.filter(({ settled }) => !settled).map((part) => jobOf(part.task, [part], crashesNow)),
  }
}

/** Images that no renderer is to be given, for a while. */
interface Refusals {
  add(source: ObjectSource): void
  has(source: ObjectSource): boolean
}

/** An attacker with more bad files than this has to send each of them again and again anyway. */
const MAX_PATHS = 1000

/** A file is known by its path, bytes by being the same buffer, which this does not keep in memory. */
function createRefusals(refuseMs: number): Refusals {
  const paths = new LRUCache<string, true>({ max: MAX_PATHS, ttl: refuseMs })
  const buffers = new WeakMap<Buffer, number>()
  return {
    add(source) {
      if ('path' in source) paths.set(source.path, true)
      else buffers.set(source.bytes, performance.now() + refuseMs)
    },
    has(source) {
      return 'path' in source ? paths.has(source.path) : performance.now() < (buffers.get(source.bytes) ?? 0)
    },
  }
}

/** What it takes at its most: the plans of a render are made one after the other. */
function taskMemory(task: RendererTask): number {
  if (task.kind === 'render') return Math.max(0, ...task.plans.map((plan) => plan.memoryBytes))
  return task.kind === 'inspect' ? 0 : (task.facts.decodingBytes ?? 0)
}

/** libvips cannot end what reads a header or draws a drawing; sound ones take less than a second. */
export function isQuick(task: RendererTask): boolean {
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
