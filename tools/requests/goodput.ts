import { setTimeout as delay } from 'node:timers/promises'
import type { Answer } from './ask.ts'

/** What was shown, and how long that took. */
export interface Goodput {
  readonly pictures: number
  readonly ms: number
}

/** Who has been refused comes again after so long. */
const AFTER_REFUSAL_MS = 250

/** Clients that each ask one after the other for so long, and wait a little after a refusal. */
export async function viewAll(
  { clients, seconds }: { readonly clients: number; readonly seconds: number },
  next: () => Promise<Answer>,
  onRefused: (answer: Answer) => void = () => {},
): Promise<Goodput> {
  const began = performance.now()
  let [pictures, lastAt] = [0, began]
  const view = async (): Promise<void> => {
    while (performance.now() < began + seconds * 1000) {
      const answer = await next()
      if (answer.status === 200) {
        pictures += 1
        lastAt = performance.now()
        continue
      }
      onRefused(answer)
      await delay(AFTER_REFUSAL_MS)
    }
  }
  await Promise.all(Array.from({ length: clients }, view))
  // Whoever still waited for a turn when the time was over has had it since.
  return { pictures, ms: lastAt - began }
}

/** Over all of them. */
export function perSecond(parts: readonly Goodput[]): number {
  const sum = (value: (part: Goodput) => number) => parts.reduce((total, part) => total + value(part), 0)
  return (1000 * sum(({ pictures }) => pictures)) / sum(({ ms }) => ms)
}
