// The body of `npm run bench`: runs benchmarks, prints a table, and writes the raw figures as JSON.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { benchCluster } from './cluster.ts'
import { benchEncoders } from './encoders.ts'
import { benchEvents } from './events.ts'
import { benchGalleries } from './galleries.ts'
import { benchHedging } from './hedging.ts'
import { benchHits } from './hits.ts'
import { benchIngest } from './ingest.ts'
import type { BenchOptions, BenchReport, Figure } from './measure.ts'
import { benchMisses } from './misses.ts'
import { benchNginxLog } from './nginx-log.ts'
import { benchNodeShare } from './node-share.ts'
import { benchOverload } from './overload.ts'
import { benchRender, RENDER_ROW_NAMES } from './render.ts'
import { benchSizing } from './sizing.ts'
import { benchSoak } from './soak.ts'
import { benchSteps } from './steps.ts'
import { benchStoreCalls } from './store-calls.ts'
import { benchStorm } from './storm.ts'
import { benchUploads } from './uploads.ts'

const USAGE = `Usage: npm run bench [-- [--smoke] [--rows name,...] [--rounds n] [--seconds n] [part ...]]

Runs benchmarks and prints their figures: ratios to a baseline or a peer that is measured in the same run.

  hits       cache hits through nginx and through Koa, against the fastest possible response of each
  log        what nginx's access log, and mtail reading it, cost per hit
  misses     first views, against sharp alone
  share      CPU of the node's own process, without its renderers, for the first view of an upload;
             and of rendering alone
  render     first views by original, source and output, srcsets, negotiated URLs, uploads and memory,
             against ipx, sharp alone and imgproxy
  encoders   quality, size and CPU time of the settings of every encoder
  soak       memory over thousands of renders
  storm      10,000 unknown ids per second beside a crawler: other viewers and requests to the store; requires root
  overload   first views and hits at 1, 3 and 10 times the capacity of the node
  galleries  pages of 200 new pictures in Chromium, and 8 and 64 concurrent clients
  sizing     uploads and first views with an S3 store: CPU, bytes and requests to the store for each
  steps      100,000 distinct specs of one picture with SIZE_POLICY=steps, and the rate of hits between the steps
  events     CPU and puts for events that are written to an S3 store, alone and 600 per second, and read from the feed
  store      CPU of a GET and a HEAD to an S3 store, against the SDK and bare HTTP
  hedging    first views while the store delays one GET in 100 by 2 s, against those without delays
  purge      sweep of a cache of a million files, against find -delete
  uploads    memory over a hundred large uploads
  ingest     sustained uploads of 2 and 12 MP: CPU and memory, and what five million a day need
  cluster    first views by 1, 2 and 4 nodes with a quarter of a core each, through HAProxy; hits through HAProxy
             against hits at nginx; requires root
  part ...   parts to run; default: all

  --rows     rows of render whose names contain one of these texts; default: all.
             ${RENDER_ROW_NAMES.join(', ').replaceAll(/(.{60,90}), /g, '$1,\n             ')}
  --rounds   of these rows except firstViews to memory, and of cluster; default: 3 and 5
  --seconds  of each measurement of storm and each load of overload; default: 60 and 20
  --smoke    short runs that verify the benchmarks; their figures are meaningless
  --help     print this help

Writes the raw figures to a JSON file in bench/results. Exit code: 0 success; 1 failed; 2 invalid options.
`
const IMAGES_DIR = join(import.meta.dirname, 'images')
const RESULTS_DIR = join(import.meta.dirname, 'results')
const PARTS = {
  hits: benchHits,
  log: benchNginxLog,
  misses: benchMisses,
  share: benchNodeShare,
  render: benchRender,
  encoders: benchEncoders,
  soak: benchSoak,
  overload: benchOverload,
  storm: benchStorm,
  galleries: benchGalleries,
  sizing: benchSizing,
  steps: benchSteps,
  events: benchEvents,
  store: benchStoreCalls,
  hedging: benchHedging,
  purge: benchPurge,
  uploads: benchUploads,
  ingest: benchIngest,
  cluster: benchCluster,
} as const satisfies Record<string, (options: BenchOptions) => BenchReport | Promise<BenchReport>>
type Part = keyof typeof PARTS

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      smoke: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      rows: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
    },
    allowPositionals: true,
  })
  const named = positionals.length === 0 && values.rows !== undefined ? ['render'] : positionals
  const selection = readSelection(values)
  if (values.help || selection === undefined || !named.every(isPart)) {
    process.stdout.write(USAGE)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const parts = named.length > 0 ? named : Object.keys(PARTS).filter(isPart)
  if (!values.smoke) run('make-images.ts', [IMAGES_DIR])
  const reports: Partial<Record<Part, BenchReport>> = {}
  for (const part of parts) {
    process.stdout.write(`\n${part}\n`)
    const report = await PARTS[part]({ smoke: values.smoke, imagesDir: IMAGES_DIR, ...selection })
    for (const figure of report.figures) process.stdout.write(`  ${formatFigure(figure, values.smoke)}\n`)
    for (const note of report.notes ?? []) process.stdout.write(`  ${note}\n`)
    reports[part] = report
  }
  if (values.smoke) process.stdout.write('\nAll benchmarks work. The figures of such short runs are meaningless.\n')
  else await keep(reports)
}

interface SelectionTexts {
  readonly rows?: string | undefined
  readonly rounds?: string | undefined
  readonly seconds?: string | undefined
}

/** @returns undefined for a name that no row contains, and for a number that is not a positive integer. */
function readSelection(texts: SelectionTexts): Pick<BenchOptions, 'rows' | 'rounds' | 'seconds'> | undefined {
  const rows = texts.rows?.split(',')
  const [rounds, seconds] = [texts.rounds, texts.seconds].map((text) => (text === undefined ? undefined : Number(text)))
  if (rows?.some((text) => !RENDER_ROW_NAMES.some((name) => name.includes(text)))) return undefined
  if ([rounds, seconds].some((given) => given !== undefined && !(Number.isInteger(given) && given >= 1)))
    return undefined
  return { ...(rows && { rows }), ...(rounds !== undefined && { rounds }), ...(seconds !== undefined && { seconds }) }
}

function isPart(name: string): name is Part {
  return name in PARTS
}

/** A process of its own, as cron runs a sweep. Its last line is JSON. */
function benchPurge({ smoke }: BenchOptions): BenchReport {
  const output = run('purge.ts', smoke ? ['--files', '2000', '--rounds', '1'] : [])
  const { ratio, scanSeconds, peakMiB, ...raw } = jsonFields(output.trimEnd().split('\n').at(-1))
  const figures = [
    { name: 'rate, of that of find -delete', value: Number(ratio), wanted: '>= 0.8' },
    { name: 'looking at a million files', value: Number(scanSeconds), unit: 's', wanted: '< 60' },
    { name: 'memory at its most', value: Number(peakMiB), unit: 'MiB', wanted: '< 200' },
  ]
  return { figures, raw }
}

function run(module: string, args: readonly string[]): string {
  return execFileSync(process.execPath, [join(import.meta.dirname, module), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function formatFigure({ name, value, unit, wanted }: Figure, smoke: boolean): string {
  const digits = unit === undefined ? 2 : value < 100 ? 1 : 0
  const number = value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })
  const line = `${name.padEnd(44)}${number.padStart(10)} ${(unit ?? '').padEnd(12)}`
  return (wanted === undefined || smoke ? line : `${line}wanted ${wanted}`).trimEnd()
}

async function keep(reports: Partial<Record<Part, BenchReport>>): Promise<void> {
  const commit = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).stdout.trim()
  const machine = {
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    load: (await readFile('/proc/loadavg', 'utf8')).trim(),
    node: process.version,
  }
  const date = new Date().toISOString().slice(0, 19).replaceAll(':', '')
  const file = join(RESULTS_DIR, `${date}.json`)
  await mkdir(RESULTS_DIR, { recursive: true })
  await writeFile(file, `${JSON.stringify({ date, commit, machine, reports }, undefined, 1)}\n`)
  process.stdout.write(`\nRaw figures: ${file}\n`)
}

await main()
