// The body of `npm run simulate`: hit ratios of the cache's eviction, next to other policies.
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { type HitRatios, hitRatios } from './simulate/hit-ratio.ts'
import { createTrace } from './simulate/trace.ts'

const USAGE = `Usage: npm run simulate [-- <options>]

Replays a trace of requests through the eviction of the disk cache and through other policies, at several sizes of the
cache. The trace is random, but the same for the same options: Zipf's law, a decay of the popularity to a tenth a week,
4 to 11 sizes per original. Belady knows the future, and bounds every policy.

  --requests 1000000  number of requests, at most 4194304
  --originals 100000  number of originals
  --days 14           length of the trace
  --zipf 0.9          exponent of Zipf's law
  --seed 1            seed of the random generator
  --help              print this help

Prints two tables by cache size (a percentage of the bytes of all requested files): hits per request, and reads of the
store per request. The first half of the requests warms the cache.
`

await runTool({
  name: 'simulate',
  usage: USAGE,
  options: {
    requests: { type: 'string', default: '1000000' },
    originals: { type: 'string', default: '100000' },
    days: { type: 'string', default: '14' },
    zipf: { type: 'string', default: '0.9' },
    seed: { type: 'string', default: '1' },
  },
  async run(values) {
    const zipf = Number(values.zipf)
    if (!(zipf > 0 && zipf < 3)) throw new Error(`--zipf: "${values.zipf}" should be a number between 0 and 3`)
    const trace = createTrace({
      requests: wholeNumber('requests', values.requests),
      originals: wholeNumber('originals', values.originals),
      days: wholeNumber('days', values.days),
      seed: wholeNumber('seed', values.seed),
      zipf,
    })
    say(`${trace.objects.length} requests for files of ${(trace.totalBytes / 1e9).toFixed(1)} GB`)
    const results = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4].map((share) => hitRatios(trace, share))
    say('\nHits per request')
    printTable(results, ({ ratios }) => ratios)
    say('\nReads of the store per request')
    printTable(results, ({ storeReads }) => storeReads)
    return 0
  },
})

function printTable(results: readonly HitRatios[], column: (result: HitRatios) => ReadonlyMap<string, number>): void {
  for (const [index, result] of results.entries()) {
    const values = column(result)
    if (index === 0) {
      say(`| cache | ${[...values.keys()].join(' | ')} |`)
      say(`| --- |${' --- |'.repeat(values.size)}`)
    }
    say(`| ${result.share * 100} % | ${Array.from(values.values(), (value) => value.toFixed(3)).join(' | ')} |`)
  }
}
