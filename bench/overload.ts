import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backgroundIsDone, type Darkroom, fixture, startDarkroom, upload } from '../test/support/darkroom.ts'
import { startNginx } from '../test/support/nginx.ts'
import { jsonFields } from '../test/support/raw-request.ts'
import { type BenchOptions, type BenchReport, cpuSeconds, type Figure } from './measure.ts'
import { type Outcome, outcomeOf, recoveredAfterMs, type Span } from './overload-figures.ts'
import { plotOverload } from './overload-plot.ts'
import { readPhotographs, withComment } from './render-photographs.ts'
import { askAll, percentile99 } from './render-views.ts'
import type { Generated, Segment } from './generator-plan.ts'
import { generateLoad } from './run-generator.ts'

const TOKEN = 'overload'.repeat(4)
const LOADS = [1, 3, 10] as const
/** Of the capacity: between the loads, and before and after them. */
const CALM = 0.5
const CLIENTS = 16
const HITS_PER_SECOND = 100
const HOT = 20
const SEEDS = { misses: 20_261_121, hits: 7 } as const
const WIDTHS = { from: 200, count: 400 } as const
const QUALITIES = { from: 50, count: 40 } as const

/** Lengths in seconds. */
interface Scale {
  readonly originals: number
  readonly capacity: number
  readonly load: number
  readonly calm: number
}

const FULL: Scale = { originals: 120, capacity: 15, load: 20, calm: 8 }
const SMOKE: Scale = { originals: 4, capacity: 1, load: 1, calm: 1 }

interface Stage {
  readonly node: Darkroom
  readonly port: number
  readonly nginxPid: number
  /** Pictures that nobody has asked for, no two alike. */
  readonly misses: readonly string[]
  readonly hits: readonly string[]
}

/**
 * First views at 1, 3 and 10 times what the node can do, by requests that come whether or not it answers, while others look at
 * pictures that are on disk.
 */
export async function benchOverload({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const scale = smoke ? SMOKE : FULL
  const photographs = smoke
    ? [await fixture('mountains.jpg')]
    : await readPhotographs({ folder: imagesDir, prefix: '12mp' })
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-overload-'))
  try {
    const ids = await fillStore(folder, photographs, scale.originals)
    return await onStage(folder, ids, (stage) => measure(stage, scale, smoke))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** By a node that is gone before anything is measured, so that the originals are new to the one that is. */
async function fillStore(folder: string, photographs: readonly Buffer[], count: number): Promise<readonly string[]> {
  const node = await startDarkroom({ env: { STORE: `file:${folder}/store`, UPLOAD_TOKENS: TOKEN } })
  try {
    const ids: string[] = []
    for (let copy = 0; copy < count; copy += 1) {
      const photograph = photographs[copy % photographs.length]
      assert.ok(photograph, 'There are photographs')
      const response = await upload(node.url, withComment(photograph, `copy ${copy}`), 'image/jpeg', TOKEN)
      assert.equal(response.status, 201)
      ids.push(String(jsonFields(await response.text())['id']))
    }
    await backgroundIsDone(node)
    return ids
  } finally {
    await node.stop()
  }
}

async function onStage<T>(folder: string, ids: readonly string[], work: (stage: Stage) => Promise<T>): Promise<T> {
  // To be tried out: it decides between waiting and being refused.
  const { RENDER_WAIT_MAX_SECONDS = '' } = process.env
  const env = {
    STORE: `file:${folder}/store`,
    UPLOAD_TOKENS: TOKEN,
    ACCEL_PREFIX: '/_renditions/',
    RENDER_WAIT_MAX_SECONDS,
  }
  const node = await startDarkroom({ env })
  try {
    const nginx = await startNginx({ nodePort: node.port, cacheDir: node.cacheDir })
    try {
      const hits = ids.slice(0, HOT).map((id) => `/image/${id}/150w/x.jpg`)
      await askAll(
        hits.map((path) => `${nginx.origin}${path}`),
        2,
      )
      return await work({ node, port: nginx.port, nginxPid: nginx.pid, misses: missesOf(ids), hits })
    } finally {
      await nginx.stop()
    }
  } finally {
    await node.stop()
  }
}

/** The next one is always of another original. */
function missesOf(ids: readonly string[]): readonly string[] {
  const sizes = Array.from({ length: WIDTHS.count * QUALITIES.count }, (_, index) => {
    // Widths that are asked for one after the other differ widely.
    const width = WIDTHS.from + ((index * 149) % WIDTHS.count)
    return `${width}w,q${QUALITIES.from + (Math.floor(index / WIDTHS.count) % QUALITIES.count)}`
  })
  const wanted = Math.ceil(60_000 / ids.length)
  return sizes.slice(0, wanted).flatMap((size) => ids.map((id) => `/image/${id}/${size}/x.jpg`))
}

interface Measured {
  readonly capacity: number
  readonly segments: readonly Segment[]
  readonly misses: Generated
  readonly hits: Generated
  readonly serverCpuSeconds: number
}

async function measure(stage: Stage, scale: Scale, smoke: boolean): Promise<BenchReport> {
  const { port, misses, hits } = stage
  const closed = await generateLoad({ port, paths: misses, load: { clients: CLIENTS, seconds: scale.capacity } })
  const capacity = outcomeOf(closed.samples, { fromMs: 0, toMs: scale.capacity * 1000 }).goodput
  const calm = { requestsPerSecond: CALM * capacity, seconds: scale.calm }
  const segments = [
    calm,
    ...LOADS.flatMap((load) => [{ requestsPerSecond: load * capacity, seconds: scale.load }, calm]),
  ]
  const seconds = segments.reduce((sum, segment) => sum + segment.seconds, 0)
  const cpuBefore = (await cpuSeconds(stage.node.pid)) + (await cpuSeconds(stage.nginxPid))
  const [open, hot] = await Promise.all([
    // What was asked for to find the capacity is there already.
    generateLoad({ port, paths: misses.slice(closed.samples.length), load: { segments, seed: SEEDS.misses } }),
    generateLoad({
      port,
      paths: hits,
      load: { segments: [{ requestsPerSecond: HITS_PER_SECOND, seconds }], seed: SEEDS.hits },
    }),
  ])
  const cpuAfter = (await cpuSeconds(stage.node.pid)) + (await cpuSeconds(stage.nginxPid))
  const measured = { capacity, segments, misses: open, hits: hot, serverCpuSeconds: cpuAfter - cpuBefore }
  if (!smoke) await plotOverload(open.samples, hot.samples)
  return report(measured)
}

function report({ capacity, segments, misses, hits, serverCpuSeconds }: Measured): BenchReport {
  const spans = spansOf(segments)
  const outcomes = spans.map((span) => outcomeOf(misses.samples, span))
  const hitOutcomes = spans.map((span) => outcomeOf(hits.samples, span))
  const [before] = outcomes
  // Segments alternate: calm, load, calm, load …
  const loads = LOADS.map((load, index) => ({ load, at: 2 * index + 1 }))
  const base = outcomes[1]
  assert.ok(before && base)
  const figures: Figure[] = [{ name: 'capacity, first views', value: capacity, unit: '/s' }]
  for (const { load, at } of loads) {
    const [outcome, hit, after] = [outcomes[at], hitOutcomes[at], spans[at + 1]]
    assert.ok(outcome && hit && after)
    figures.push(...figuresOf({ load, outcome, hit, base, capacity }), {
      name: '  normal again after',
      value: recoveredAfterMs(misses.samples, after, 2 * before.admittedP99) / 1000,
      unit: 's',
      wanted: '< 5',
    })
  }
  const generators = misses.cpuSeconds + hits.cpuSeconds
  figures.push({
    name: 'CPU of the load generators, of all',
    value: generators / (generators + serverCpuSeconds),
  })
  const raw = { capacity, segments, outcomes, hits: hitOutcomes, generators, serverCpuSeconds }
  const broken = [...outcomes, ...hitOutcomes].reduce((sum, { failed, unexplained }) => sum + failed + unexplained, 0)
  const hitP99 = percentile99(hits.samples.map(([, took]) => took))
  return {
    figures,
    notes: [
      `${broken} answers were neither a picture nor a 503 or 429 with Retry-After.`,
      `Before the loads, at ${CALM} of the capacity, p99 was ${before.admittedP99.toFixed(0)} ms; p99 of all hits ${hitP99.toFixed(1)} ms.`,
    ],
    raw,
  }
}

interface LoadOutcome {
  readonly load: number
  readonly outcome: Outcome
  readonly hit: Outcome
  /** At 1 times the capacity. */
  readonly base: Outcome
  readonly capacity: number
}

function figuresOf({ load, outcome, hit, base, capacity }: LoadOutcome): Figure[] {
  return [
    { name: `at ${load} x: pictures, of the capacity`, value: outcome.goodput / capacity, wanted: '>= 0.8' },
    { name: '  p99 of those admitted', value: outcome.admittedP99, unit: 'ms' },
    ...(load > 1
      ? [{ name: '  the same, of that at 1 x', value: outcome.admittedP99 / base.admittedP99, wanted: '<= 2' }]
      : []),
    { name: '  refused, of all', value: outcome.refused / outcome.asked },
    ...(outcome.refused > 0
      ? [{ name: '  p99 of refusals', value: outcome.refusedP99, unit: 'ms', wanted: '< 100' }]
      : []),
    { name: '  p99 of hits', value: hit.admittedP99, unit: 'ms', wanted: '< 50' },
  ]
}

function spansOf(segments: readonly Segment[]): readonly Span[] {
  let at = 0
  return segments.map(({ seconds }) => {
    const fromMs = at
    at += seconds * 1000
    return { fromMs, toMs: at }
  })
}
