import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withComment } from '../tools/pictures/distinct-copy.ts'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, fixture, startDarkroom, upload } from '../tools/servers/darkroom.ts'
import { startNodeNginx } from '../tools/servers/nginx.ts'
import type { Sample, Segment } from './generator-plan.ts'
import { type BenchOptions, type BenchReport, type Figure, median } from './measure.ts'
import { type Outcome, outcomeOf, recoveredAfterMs, type Span } from './overload-figures.ts'
import { plotOverload } from './overload-plot.ts'
import { readPhotographs } from './render-photographs.ts'
import { askAll, percentile99 } from './render-views.ts'
import { generateLoad } from './run-generator.ts'

const TOKEN = 'overload'.repeat(4)
const LOADS = [1, 3, 10] as const
/** Of the capacity: between the loads, and before and after them. */
const CALM = 0.5
const CLIENTS = 16
const HITS_PER_SECOND = 100
/** A client with an address of its own, which looks at a new picture from time to time. */
const POLITE = { from: '127.0.0.9', viewsPerSecond: 1, seed: 3 } as const
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
  /** For the polite client alone. */
  readonly alone: number
}

/** RENDER_WAIT_MAX_SECONDS by default: what waits when the load ends is made first. */
const LONGEST_WAIT_SECONDS = 15
const FULL: Scale = { originals: 120, capacity: 10, load: 20, calm: LONGEST_WAIT_SECONDS, alone: 20 }
const SMOKE: Scale = { originals: 4, capacity: 1, load: 1, calm: 1, alone: 2 }

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
export async function benchOverload({ smoke, imagesDir, seconds }: BenchOptions): Promise<BenchReport> {
  const full = { ...FULL, load: seconds ?? FULL.load, alone: seconds ?? FULL.alone }
  const scale = smoke ? SMOKE : full
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
  const env = { STORE: `file:${folder}/store`, UPLOAD_TOKENS: TOKEN, ACCEL_PREFIX: '/_renditions/' }
  const node = await startDarkroom({ env })
  try {
    const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir })
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
  const wanted = Math.ceil(120_000 / ids.length)
  return sizes.slice(0, wanted).flatMap((size) => ids.map((id) => `/image/${id}/${size}/x.jpg`))
}

/** One load, between two stretches of calm, and what the node could do before and after it. */
interface Round {
  readonly load: number
  /** First views a second. */
  readonly capacity: number
  readonly misses: readonly Sample[]
  readonly hits: readonly Sample[]
  /** First views of the polite client. */
  readonly polite: readonly Sample[]
  readonly spans: readonly [Span, Span, Span]
}

async function measure(stage: Stage, scale: Scale, smoke: boolean): Promise<BenchReport> {
  const { port, node, nginxPid, misses, hits } = stage
  // What was asked for is there from then on.
  let asked = 0
  const measureCapacity = async () => {
    const load = { clients: CLIENTS, seconds: scale.capacity }
    const { samples } = await generateLoad({ port, paths: misses.slice(asked), load })
    asked += samples.length
    const { goodput, refused } = outcomeOf(samples, { fromMs: 0, toMs: scale.capacity * 1000 })
    assert.equal(refused, 0, 'A closed loop is never refused')
    return goodput
  }
  const serverCpu = async () => (await cpuSeconds(node.pid)) + (await cpuSeconds(nginxPid))
  const visit = async (seconds: number) => {
    // From the end of the list: no other client requests the same picture first.
    const paths = misses.slice(0, misses.length - visited).toReversed()
    const load = { segments: [{ requestsPerSecond: POLITE.viewsPerSecond, seconds }], seed: POLITE.seed }
    const { samples } = await generateLoad({ port, from: POLITE.from, paths, load })
    visited += samples.length
    return samples
  }
  let visited = 0
  const alone = median(admittedTimes(await visit(scale.alone)))
  const cpu = { generators: 0, servers: 0 }
  const rounds: Round[] = []
  let before = await measureCapacity()
  for (const load of LOADS) {
    const calm = { requestsPerSecond: CALM * before, seconds: scale.calm }
    const segments = [calm, { requestsPerSecond: load * before, seconds: scale.load }, calm] as const
    const seconds = segments.reduce((sum, segment) => sum + segment.seconds, 0)
    const hot = [{ requestsPerSecond: HITS_PER_SECOND, seconds }]
    const cpuBefore = await serverCpu()
    const [open, looked, polite] = await Promise.all([
      generateLoad({ port, paths: misses.slice(asked), load: { segments, seed: SEEDS.misses } }),
      generateLoad({ port, paths: hits, load: { segments: hot, seed: SEEDS.hits } }),
      visit(seconds),
    ])
    asked += open.samples.length
    cpu.generators += open.cpuSeconds + looked.cpuSeconds
    cpu.servers += (await serverCpu()) - cpuBefore
    const after = await measureCapacity()
    // What slows the machine for a while slows both.
    const capacity = (before + after) / 2
    rounds.push({ load, capacity, misses: open.samples, hits: looked.samples, polite, spans: spansOf(segments) })
    before = after
  }
  if (!smoke) await plotOverload(inOneRow(rounds, 'misses'), inOneRow(rounds, 'hits'))
  return report(rounds, cpu, alone)
}

function admittedTimes(samples: readonly Sample[]): readonly number[] {
  return samples.filter(([, , status]) => status === 200).map(([, took]) => took)
}

/** As if one round had begun when the one before it ended. */
function inOneRow(rounds: readonly Round[], kind: 'misses' | 'hits'): readonly Sample[] {
  let from = 0
  return rounds.flatMap(({ [kind]: samples, spans }) => {
    const shifted = samples.map(([at, took, status, retryAfter]): Sample => [at + from, took, status, retryAfter])
    from += spans[2].toMs
    return shifted
  })
}

function report(
  rounds: readonly Round[],
  cpu: { readonly generators: number; readonly servers: number },
  alone: number,
): BenchReport {
  const measured = rounds.map(({ load, capacity, misses, hits, polite, spans }) => {
    const [calm, outcome, after] = spans.map((span) => outcomeOf(misses, span))
    const [hitBefore, hit, hitAfter] = spans.map((span) => outcomeOf(hits, span))
    assert.ok(calm && outcome && after && hitBefore && hit && hitAfter)
    const recoveredMs = recoveredAfterMs(misses, spans[2], 2 * calm.admittedP99)
    return {
      load,
      capacity,
      calm,
      outcome,
      after,
      hit,
      polite: outcomeOf(polite, spans[1]),
      recoveredMs,
      all: [calm, outcome, after, hitBefore, hit, hitAfter],
    }
  })
  const figures = measured.flatMap(({ load, capacity, outcome, hit, polite, recoveredMs }) => [
    ...figuresOf({ load, outcome, hit, capacity }),
    { name: '  a polite client, median of that alone', value: polite.admittedP50 / alone, wanted: '<= 2' },
    { name: '  its views without a picture', value: polite.refused + polite.failed, unit: '', wanted: '0' },
    { name: '  normal again after', value: recoveredMs / 1000, unit: 's', wanted: `< ${LONGEST_WAIT_SECONDS}` },
  ])
  const { generators, servers } = cpu
  const broken = measured
    .flatMap(({ all }) => all)
    .reduce((sum, { failed, unexplained }) => sum + failed + unexplained, 0)
  const hitP99 = percentile99(rounds.flatMap(({ hits }) => hits.map(([, took]) => took)))
  const calmP99 = measured.map(({ calm }) => calm.admittedP99.toFixed(0)).join(', ')
  return {
    figures: [...figures, { name: 'CPU of the load generators, of all', value: generators / (generators + servers) }],
    notes: [
      `${broken} answers were neither a picture nor a 503 or 429 with Retry-After.`,
      `A polite client views a new picture every ${1 / POLITE.viewsPerSecond} s; alone its median was ${alone.toFixed(0)} ms.`,
      `Before each load, at ${CALM} of the capacity, p99 was ${calmP99} ms; p99 of all hits ${hitP99.toFixed(1)} ms.`,
    ],
    raw: { measured, generators, servers, alone },
  }
}

interface LoadOutcome {
  readonly load: number
  readonly outcome: Outcome
  readonly hit: Outcome
  readonly capacity: number
}

function figuresOf({ load, outcome, hit, capacity }: LoadOutcome): Figure[] {
  return [
    { name: `capacity around ${load} x, first views`, value: capacity, unit: '/s' },
    { name: `at ${load} x: pictures, of the capacity`, value: outcome.goodput / capacity, wanted: '>= 0.9' },
    { name: '  median of those admitted', value: outcome.admittedP50, unit: 'ms' },
    {
      name: '  p99 of those admitted',
      value: outcome.admittedP99,
      unit: 'ms',
      wanted: `< ${LONGEST_WAIT_SECONDS},000`,
    },
    { name: '  refused, of all', value: outcome.refused / outcome.asked },
    ...(outcome.refused > 0
      ? [{ name: '  p99 of refusals', value: outcome.refusedP99, unit: 'ms', wanted: '< 100' }]
      : []),
    { name: '  p99 of hits', value: hit.admittedP99, unit: 'ms', wanted: '< 50' },
  ]
}

function spansOf([before, load, after]: readonly [Segment, Segment, Segment]): readonly [Span, Span, Span] {
  let at = 0
  const spanOf = ({ seconds }: Segment): Span => {
    const fromMs = at
    at += seconds * 1000
    return { fromMs, toMs: at }
  }
  return [spanOf(before), spanOf(load), spanOf(after)]
}
