import { fromFailure, type RendererOutcome, type RendererTask, type RendererValue } from './renderer-messages.ts'

/** A task, and those who wait for its parts: the plans of a render, or the one value of anything else. */
export interface RendererJob {
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

export function createRendererJob(task: RendererTask): RendererJob {
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
