import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { linePlot } from '../tools/pictures/line-plot.ts'
import type { Sample } from './generator-plan.ts'
import { type Outcome, outcomeOf } from './overload-figures.ts'

const FOLDER = join(import.meta.dirname, '..', 'docs', 'images')

/** Of each second: how many were asked for and answered, and how long that took. */
export async function plotOverload(misses: readonly Sample[], hits: readonly Sample[]): Promise<void> {
  const seconds = Math.ceil(misses.reduce((most, [at]) => Math.max(most, at), 0) / 1000)
  const each = (samples: readonly Sample[]) =>
    Array.from({ length: seconds }, (_, second) =>
      outcomeOf(samples, { fromMs: second * 1000, toMs: (second + 1) * 1000 }),
    )
  const [missSeconds, hitSeconds] = [each(misses), each(hits)]
  const line = (outcomes: readonly Outcome[], value: (outcome: Outcome) => number) =>
    outcomes.flatMap((outcome, second) => {
      const y = value(outcome)
      return y > 0 ? [[second, y] as const] : []
    })
  const rates = linePlot({
    title: 'First views at 1, 3 and 10 times the capacity',
    xLabel: 'seconds',
    yLabel: 'a second',
    logY: true,
    series: [
      { name: 'asked for', points: line(missSeconds, ({ asked }) => asked), dashed: true },
      { name: 'pictures', points: line(missSeconds, ({ goodput }) => goodput) },
      { name: 'refused', points: line(missSeconds, ({ refused }) => refused) },
    ],
  })
  const times = linePlot({
    title: 'How long answers took, 99 of 100, in each second',
    xLabel: 'seconds',
    yLabel: 'ms',
    logY: true,
    series: [
      { name: 'first views', points: line(missSeconds, ({ admittedP99 }) => admittedP99) },
      { name: 'refusals', points: line(missSeconds, ({ refusedP99 }) => refusedP99) },
      { name: 'hits', points: line(hitSeconds, ({ admittedP99 }) => admittedP99) },
    ],
  })
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, 'overload.svg'), rates)
  await writeFile(join(FOLDER, 'overload-times.svg'), times)
}
