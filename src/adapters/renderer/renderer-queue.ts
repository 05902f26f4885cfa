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
  /**
   * Rejects all waiting tasks, and new ones until `open`. @param reason There is no renderer, or the node is stopping.
   */
  close(reason: UnavailableError): void
  /** To be called when another renderer is idle. */
  open(): void
}

export interface RendererQueueOptions {
  /** The first idle one gets the next task. The owner may add more. */
  readonly slots: readonly RendererSlot[]
  readonly meter: Pick<Meter, 'trouble'>
  /** Maximum estimated memory of concurrent tasks. */
  readonly memoryBytes: number
  /** Time for which an image that crashed the decoder is refused. */
  readonly refuseMs: number
}

const MAX_CRASHES = 2

export function createRendererQueue({ slots, meter, memoryBytes, refuseMs }: RendererQueueOptions): RendererQueue {
  const refusals = createRefusals(refuseMs)
  const ahead: RendererJob[] = []
  const inOrder: RendererJob[] = []
  /** Estimated memory of the running tasks. */
  let takenBytes = 0
  let closed: UnavailableError | undefined

  function submit(task: RendererTask): readonly Promise<RendererValue>[] {
    const job = createRendererJob(task)
    const refusal = closed ?? refusalOf(job)
    // A task that only reads a header must not wait for renders.
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
      // Not round-robin: under low load the last renderers stay small.
      const slot = slots.find(({ state }) => state === 'idle')
      if (slot === undefined) return
      const queue = ahead.length > 0 ? ahead : inOrder
      const [job] = queue
      // No task overtakes one that waits for memory, which could otherwise wait for ever.
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

  /** First in the queue, as it has waited already. */
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

/** A task with the promises of its parts: the plans of a render, or the one value of any other task. */
interface RendererJob {
  readonly task: RendererTask
  readonly parts: readonly Promise<RendererValue>[]
  /** Crashes of a renderer while the task had only one part. */
  readonly crashes: number
  /** Settles a part. A second outcome has no effect. */
  settle(part: number, outcome: RendererOutcome): void
  /** Rejects all parts that are not settled. */
  reject(error: Error): void
  /** After a crash: the remaining parts, each as a task of its own, to find the one that crashes. */
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
      // The failure is reported to the waiting caller; without one it must not end the node.
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

/** Images that are refused for a while. */
interface Refusals {
  add(source: ObjectSource): void
  has(source: ObjectSource): boolean
}

/** An attacker with more bad files has to send each of them repeatedly. */
const MAX_PATHS = 1000

/** A file is identified by its path, bytes by their buffer, which is held weakly. */
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

/** Peak memory: the plans of a render are made one after the other. */
function taskMemory(task: RendererTask): number {
  if (task.kind === 'render') return Math.max(0, ...task.plans.map((plan) => plan.memoryBytes))
  return task.kind === 'inspect' ? 0 : (task.facts.decodingBytes ?? 0)
}

/** libvips cannot abort reading a header or drawing an SVG; valid ones take less than a second. */
export function isQuick(task: RendererTask): boolean {
  return task.kind === 'inspect' || isDrawing(task)
}

function isDrawing(task: RendererTask): boolean {
  if (task.kind === 'render') return task.plans.some(({ drawing }) => drawing)
  return task.kind !== 'inspect' && task.facts.format === 'svg'
}

/** A drawing of any size can take any time: that is the drawing's fault. Otherwise the machine may be slow. */
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
