import { linePlot } from '../pictures/line-plot.ts'
import type { HitRatios } from './hit-ratio.ts'
import type { Trace, TraceOptions } from './trace.ts'

type Column = (result: HitRatios) => ReadonlyMap<string, number>

export function hitRatioLines(
  { requests, originals, days }: TraceOptions,
  { totalBytes }: Trace,
  results: readonly HitRatios[],
): readonly string[] {
  return [
    `${requests.toLocaleString('en')} requests in ${days} days for ${originals.toLocaleString('en')} originals; files of ${(totalBytes / 1e9).toFixed(1)} GB.`,
    '',
    'Hits per request:',
    '',
    ...tableLines(results, ({ ratios }) => ratios),
    '',
    'Reads of the store per request:',
    '',
    ...tableLines(results, ({ storeReads }) => storeReads),
  ]
}

/** For the README. */
export function hitRatioSummary(results: readonly HitRatios[]): readonly string[] {
  const of = (name: string) => results.map(({ ratios }) => (ratios.get(name) ?? 0).toFixed(2)).join(', ')
  const shares = results.map(({ share }) => `${share * 100}`).join(', ')
  return [
    `- **Hit ratio** of a cache of ${shares} % of all bytes: ${of('Darkroom')}; S4LRU, the best of`,
    `  Facebook's study, has ${of('S4LRU')} with as many bytes (\`npm run simulate\`).`,
  ]
}

export function hitRatioPlot(results: readonly HitRatios[]): string {
  const names = [...(results[0]?.ratios.keys() ?? [])]
  return linePlot({
    title: 'Hits per request, by size of the cache',
    xLabel: 'cache, % of the bytes of all requested files',
    yLabel: 'hits per request',
    logX: true,
    series: names.map((name) => ({
      name,
      points: results.map(({ share, ratios }) => [share * 100, ratios.get(name) ?? 0] as const),
      dashed: name === 'Belady',
    })),
  })
}

function tableLines(results: readonly HitRatios[], column: Column): readonly string[] {
  const names = results[0] ? [...column(results[0]).keys()] : []
  return [
    `| cache | ${names.join(' | ')} |`,
    `| --- |${' --- |'.repeat(names.length)}`,
    ...results.map((result) => {
      const values = Array.from(column(result).values(), (value) => value.toFixed(3))
      return `| ${result.share * 100} % | ${values.join(' | ')} |`
    }),
  ]
}
