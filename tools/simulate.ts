// The body of `npm run simulate`: hit ratios of the cache's eviction next to other policies, on a node, and what a site costs.
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { inScope } from './processes/scope.ts'
import { planCapacity, viewsPerUpload } from './simulate/capacity.ts'
import { capacityLines, capacitySummary, pricePlot } from './simulate/capacity-report.ts'
import { demandAt, originalsFor } from './simulate/demand.ts'
import { hitRatios } from './simulate/hit-ratio.ts'
import { hitRatioLines, hitRatioPlot, hitRatioSummary } from './simulate/hit-ratio-report.ts'
import { FIGURES } from './simulate/measured.ts'
import { replayOnNode } from './simulate/node-replay.ts'
import { PRICES } from './simulate/prices.ts'
import { compareReplay, replayError, replayLines, replayPlot, replaySummary } from './simulate/replay-report.ts'
import { createTrace, type TraceOptions } from './simulate/trace.ts'
import { writeBlock, writeRepositoryFile } from './simulate/written-blocks.ts'

const USAGE = `Usage: npm run simulate [-- <options>]

Replays a trace of requests through the eviction of the disk cache and through other policies, at several sizes of the
cache. The trace is random, but the same for the same options: Zipf's law, a decay of the popularity to a tenth a week,
4 to 11 sizes per original. Belady knows the future, and bounds every policy.

Prints two tables by cache size (a percentage of the bytes of all requested files): hits per request, and reads of the
store per request. The first half of the requests warms the cache.

  --requests 300000   number of requests, at most 4194304; with --node or --costs 1000000
  --originals 30000   number of originals; with --node 2000; with --costs as many as the workload has
  --days 14           length of the trace
  --zipf 0.9          exponent of Zipf's law
  --seed 1            seed of the random generator
  --write             also write the tables and plots into docs/ and README.md
  --help              print this help

With --node: replays the trace on a real node behind nginx, with small pictures, and compares the hits with those of the
simulation. Exit code 1 if they differ by more than 0.05 per request.

  --minutes 15        time for the replay; longer on a slow machine
  --cache 20          size of the cache, a percentage of the bytes of all requested files

With --costs: nodes, disks, requests to the store and the price of a site, from the simulation and the measured costs in
tools/simulate/measured.ts.

  --uploads 5000000   uploads a day
  --rate 100000       requests per second at the peak
  --peak 3            the peak as a multiple of the average
  --cores 16          cores of a node
  --gigabits 12.5     network of a node
  --utilization 0.6   share of the cores and the network in use at the peak
  --cpu-hour ${PRICES.cpuHour}   price of a vCPU and hour
  --disk-month ${PRICES.diskMonth}   price of a GB of disk and month
  --gets ${PRICES.gets}       price of 1,000 GET
  --puts ${PRICES.puts}        price of 1,000 PUT or LIST
  --store-month ${PRICES.storeMonth} price of a GB and month in the store
`
const PAGE = 'docs/scaling.md'
const SHARES = [0.01, 0.05, 0.2, 0.4] as const
/** Of disks that cost less than the renders that they save. */
const COST_SHARES = [0.05, 0.1, 0.2, 0.3, 0.4, 0.6] as const
const REPLAY_IMAGE = '![Hits per request on a node and in the simulation](images/replay.svg)'
/** On a node, renders, sweeps and syncs take time, and files that wait for a sync use a part of a small cache. */
const MAX_ERROR = 0.05

await runTool({
  name: 'simulate',
  usage: USAGE,
  options: {
    requests: { type: 'string' },
    originals: { type: 'string' },
    days: { type: 'string', default: '14' },
    zipf: { type: 'string', default: '0.9' },
    seed: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
    node: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '15' },
    cache: { type: 'string', default: '20' },
    costs: { type: 'boolean', default: false },
    uploads: { type: 'string', default: '5000000' },
    rate: { type: 'string', default: '100000' },
    peak: { type: 'string', default: '3' },
    cores: { type: 'string', default: '16' },
    gigabits: { type: 'string', default: '12.5' },
    utilization: { type: 'string', default: '0.6' },
    'cpu-hour': { type: 'string', default: String(PRICES.cpuHour) },
    'disk-month': { type: 'string', default: String(PRICES.diskMonth) },
    gets: { type: 'string', default: String(PRICES.gets) },
    puts: { type: 'string', default: String(PRICES.puts) },
    'store-month': { type: 'string', default: String(PRICES.storeMonth) },
  },
  async run(values) {
    const trace = {
      requests: wholeNumber('requests', values.requests ?? (values.node || values.costs ? '1000000' : '300000')),
      originals: wholeNumber('originals', values.originals ?? (values.node ? '2000' : '30000')),
      days: wholeNumber('days', values.days),
      seed: wholeNumber('seed', values.seed),
      zipf: positive('zipf', values.zipf),
    }
    if (values.node) {
      const durationMs = positive('minutes', values.minutes) * 60_000
      return await printReplay(trace, { share: positive('cache', values.cache) / 100, durationMs, write: values.write })
    }
    if (!values.costs) {
      await printHitRatios(trace, values.write)
      return 0
    }
    const plan = {
      workload: {
        uploadsPerDay: wholeNumber('uploads', values.uploads),
        requestsPerSecond: wholeNumber('rate', values.rate),
        peak: positive('peak', values.peak),
      },
      machine: {
        cores: wholeNumber('cores', values.cores),
        gigabits: positive('gigabits', values.gigabits),
        utilization: positive('utilization', values.utilization),
      },
      figures: FIGURES,
      prices: {
        cpuHour: positive('cpu-hour', values['cpu-hour']),
        diskMonth: positive('disk-month', values['disk-month']),
        gets: positive('gets', values.gets),
        puts: positive('puts', values.puts),
        storeMonth: positive('store-month', values['store-month']),
      },
    }
    await printCosts(trace, plan, values.write)
    return 0
  },
})

async function printHitRatios(options: TraceOptions, write: boolean): Promise<void> {
  const trace = createTrace(options)
  const results = SHARES.map((share) => hitRatios(trace, share))
  const lines = hitRatioLines(options, trace, results)
  say(lines.join('\n'))
  if (!write) return
  await writeBlock(PAGE, 'hit ratios', lines)
  await writeBlock('README.md', 'hit ratios', hitRatioSummary(results))
  await writeRepositoryFile('docs/images/hit-ratios.svg', hitRatioPlot(results))
}

async function printCosts(options: TraceOptions, plan: Parameters<typeof planCapacity>[0], write: boolean) {
  const originals = originalsFor(viewsPerUpload(plan.workload), options)
  const trace = createTrace({ ...options, originals })
  const rows = COST_SHARES.map((share) => {
    const demand = demandAt(trace, { originals, days: options.days }, share)
    return { share, demand, capacity: planCapacity(plan, demand) }
  })
  const lines = capacityLines(plan, rows)
  say(lines.join('\n'))
  if (!write) return
  await writeBlock(PAGE, 'costs', lines)
  await writeBlock('README.md', 'costs', capacitySummary(plan, rows))
  await writeRepositoryFile('docs/images/price-by-cache.svg', pricePlot(rows))
}

interface ReplayRun {
  readonly share: number
  readonly durationMs: number
  readonly write: boolean
}

async function printReplay(options: TraceOptions, { share, durationMs, write }: ReplayRun): Promise<number> {
  const trace = createTrace(options)
  const comparison = await inScope(async (scope) =>
    compareReplay(await replayOnNode(scope, trace, { share, durationMs })),
  )
  const lines = replayLines(comparison)
  say(lines.join('\n'))
  if (write) {
    await writeBlock(PAGE, 'replay', [REPLAY_IMAGE, '', ...lines])
    await writeBlock('README.md', 'replay', replaySummary(comparison))
    await writeRepositoryFile('docs/images/replay.svg', replayPlot(comparison))
  }
  const error = replayError(comparison)
  say(`\nThe hit ratios of node and simulation differ by ${error.toFixed(3)}`)
  return Math.abs(error) <= MAX_ERROR ? 0 : 1
}

/** @throws Error that names the option, unless the text is a number above 0. */
function positive(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new Error(`--${option}: "${text}" should be a number above 0`)
  return value
}
