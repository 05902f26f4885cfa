import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { linePlot } from '../tools/pictures/line-plot.ts'
import { createRandom } from '../tools/pictures/seeded-random.ts'
import { cpuSecondsAtRest, peakBytesDuring, proportionalBytes } from '../tools/processes/process-use.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { type Darkroom, startDarkroom, upload } from '../tools/servers/darkroom.ts'
import { type BenchOptions, type BenchReport } from './measure.ts'
import { askAll } from './render-views.ts'

const FIXTURES = fileURLToPath(new URL('../test/fixtures', import.meta.url))
const PLOT = fileURLToPath(new URL('../docs/images/soak.svg', import.meta.url))
const CLIENTS = 8
/** Memory is compared at the end with what it was after these. */
const SETTLED = 500
const RENDERS = 5000
const STEP = 100
const SEED = 20_261_121
const SAMPLE_MS = 200
const MB = 1e6
const TOKEN = 'soak'.repeat(8)
const WANTED_GROWTH = 1.15
/** Flat: less than this much more for each thousand renders. */
const WANTED_SLOPE_MB = 5

const WIDTHS = [160, 320, 400, 640, 960, 1280] as const
const FORMATS = ['jpg', 'jpg', 'jpg', 'webp', 'webp', 'webp', 'avif', 'png'] as const
/** PNGs of photographs are asked for small, if at all. */
const PNG_WIDTH = 320

interface Sample {
  readonly renders: number
  /** Of the node and its renderers; at rest, and at the most since the sample before. */
  readonly bytes: number
  readonly peak: number
}

/** Memory of a node and its renderers over thousands of renders of all sorts, none of which has been made before. */
export async function benchSoak({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  // As behind nginx, so that the node keeps no pictures in front of its disk: a cache that fills is no leak.
  const env = { ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: TOKEN, CACHE_MAX_BYTES: '1G' }
  const node = await startDarkroom({ env })
  try {
    const ids = await uploadAll(node, smoke ? FIXTURES : imagesDir)
    const urls = randomViews(node.url, ids, smoke ? STEP : RENDERS)
    const samples: Sample[] = []
    for (let done = 0; done < urls.length; done += STEP) {
      const step = urls.slice(done, done + STEP)
      const peak = await peakBytesDuring(node.pid, SAMPLE_MS, () => askAll(step, CLIENTS))
      await cpuSecondsAtRest(node.pid)
      samples.push({ renders: done + STEP, bytes: await proportionalBytes(node.pid), peak })
    }
    if (!smoke) await plot(samples)
    const settled = samples.find(({ renders }) => renders === SETTLED) ?? samples[0]
    const last = samples.at(-1)
    assert.ok(settled && last)
    const figures = [
      {
        name: `memory after ${last.renders} renders, of ${settled.renders}`,
        value: last.bytes / settled.bytes,
        wanted: `<= ${WANTED_GROWTH}`,
      },
      {
        name: '  slope per 1000 renders',
        value: slope(samples.filter(({ renders }) => renders >= settled.renders)) / MB,
        unit: 'MB',
        wanted: `<= ${WANTED_SLOPE_MB}`,
      },
      { name: `  after ${settled.renders}`, value: settled.bytes / MB, unit: 'MB' },
      { name: `  after ${last.renders}`, value: last.bytes / MB, unit: 'MB' },
      { name: '  at the most', value: Math.max(...samples.map(({ peak }) => peak)) / MB, unit: 'MB' },
      { name: '  renderers replaced', value: await node.metric('darkroom_renderer_memory_restarts_total'), unit: '' },
    ]
    return { figures, raw: samples }
  } finally {
    await node.stop()
  }
}

/** Of the line that fits the memory at rest best; bytes for each thousand renders. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const [renders, bytes] = [mean((sample) => sample.renders), mean((sample) => sample.bytes)]
  const spread = mean((sample) => (sample.renders - renders) ** 2)
  return spread === 0 ? 0 : (mean((sample) => (sample.renders - renders) * (sample.bytes - bytes)) / spread) * 1000
}

async function uploadAll(node: Darkroom, folder: string): Promise<readonly string[]> {
  const files = (await readdir(folder)).filter((file) => /\.(jpg|png|webp|gif)$/.test(file))
  const ids: string[] = []
  for (const file of files.toSorted()) {
    const bytes = await readFile(join(folder, file))
    const response = await upload(node.url, bytes, 'application/octet-stream', TOKEN)
    assert.ok(response.ok, `${file}: ${response.status}`)
    ids.push(String(jsonFields(await response.text())['id']))
  }
  return ids
}

/** No two alike, and in every run the same ones. */
function randomViews(url: string, ids: readonly string[], count: number): readonly string[] {
  const random = createRandom(SEED)
  const pick = <T>(from: readonly T[]): T => {
    const picked = from[random() % from.length]
    if (picked === undefined) throw new RangeError('There is nothing to pick from')
    return picked
  }
  const views = new Set<string>()
  while (views.size < count) {
    const format = pick(FORMATS)
    const width = (format === 'png' ? PNG_WIDTH : pick(WIDTHS)) - (random() % 40)
    const quality = format === 'png' || random() % 2 === 0 ? '' : `,q${50 + (random() % 40)}`
    views.add(`${url}/image/${pick(ids)}/${width}w${quality}/x.${format}`)
  }
  return [...views]
}

async function plot(samples: readonly Sample[]): Promise<void> {
  await mkdir(join(PLOT, '..'), { recursive: true })
  const line = (bytes: (sample: Sample) => number) =>
    samples.map((sample) => [sample.renders, bytes(sample) / MB] as const)
  const svg = linePlot({
    title: 'Memory of a node and its renderers (PSS)',
    xLabel: 'renders, none made before',
    yLabel: 'MB',
    series: [
      { name: 'at rest', points: line(({ bytes }) => bytes) },
      { name: 'peak while rendering', points: line(({ peak }) => peak), dashed: true },
    ],
  })
  await writeFile(PLOT, svg)
}
