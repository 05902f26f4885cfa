import { writeFile } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import type { ImageEngine } from '../../service/ports/engine.ts'
import { createSharpEngine, pipelineMtimeSeconds } from '../sharp/sharp-engine.ts'
import {
  assertRendererOrder,
  type RendererOutcome,
  type RendererReport,
  type RendererTask,
  type RendererValue,
  toFailure,
} from './renderer-messages.ts'
import { createSourceBuffer } from './source-buffer.ts'

export interface RendererChannel {
  listen(listener: (message: unknown) => void): void
  send(report: RendererReport): void
  /** Current resident memory, bytes. */
  residentBytes(): number
}

/**
 * When memory is short, the kernel should kill a renderer, which costs one task, rather than the node; the maximum is
 * 1000.
 */
const OOM_SCORE = '500'

/**
 * The renderer's side: does one task at a time, and reports each picture as soon as it is made. The node sends the next
 * task after the end of the last one.
 */
export function serveRenderer({ listen, send, residentBytes }: RendererChannel): void {
  let engine: ImageEngine | undefined
  const sources = createSourceBuffer()
  // Only Linux has this file, and nothing depends on it.
  writeFile('/proc/self/oom_score_adj', OOM_SCORE).catch(() => {})

  async function work(task: RendererTask): Promise<void> {
    if (engine === undefined) throw new TypeError('A renderer received a task before its settings')
    const values = perform(engine, { ...task, source: sources.load(task.source) })
    let left = values.length
    await Promise.all(
      values.map(async (value, part) => {
        const outcome = await settled(value)
        left -= 1
        // The last part also ends the task, which saves a message.
        send({ kind: 'part', part, outcome, ...(left === 0 && { residentBytes: residentBytes() }) })
      }),
    )
  }

  listen((message) => {
    assertRendererOrder(message)
    if ('task' in message) {
      void work(message.task)
      return
    }
    engine = createSharpEngine(message.engine)
    // Node would not write it, as a renderer is killed.
    flushCompileCache()
    send({ kind: 'ready', pipelineMtimeSeconds: pipelineMtimeSeconds(), residentBytes: residentBytes() })
  })
}

function perform(engine: ImageEngine, task: RendererTask): readonly Promise<RendererValue>[] {
  const { kind, source } = task
  switch (kind) {
    case 'inspect':
      return [engine.inspect(source).then((facts) => ({ kind, facts }))]
    case 'verify':
      return [engine.verify(source, task.facts, task.levels).then((verified) => ({ kind, verified }))]
    case 'measure':
      return [engine.measure(source, task.facts).then((info) => ({ kind, info }))]
    case 'reduce':
      return [engine.reduce(source, task.facts, task.levels).then((reduced) => ({ kind, reduced }))]
    case 'render':
      return engine.render(source, task.plans).map((made) => made.then((bytes) => ({ kind, bytes })))
  }
}

async function settled(value: Promise<RendererValue>): Promise<RendererOutcome> {
  try {
    return { value: await value }
  } catch (error) {
    return { failure: toFailure(error) }
  }
}
