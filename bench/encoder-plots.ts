import type { OutputFormat } from '../src/domain/image-format.ts'
import { atQuality, geometricMean, type Row } from './encoder-curves.ts'
import type { Sample } from './encoder-samples.ts'
import { linePlot, type Series } from './plot.ts'

/** The size that the curves of quality are drawn for. */
const LONGEST_SIDE = 400
const SCORES = [65, 70, 75, 80, 85]

/** Quality against bytes: our encoders of a format, whole lines, against others, dashed. */
export function plotFormat(samples: readonly Sample[], format: OutputFormat): string {
  const ofSize = samples.filter((sample) => sample.longestSide === LONGEST_SIDE)
  const own = ofSize.filter(({ candidate }) => candidate.startsWith(`${format}: `))
  return linePlot({
    title: `${format} at ${LONGEST_SIDE} px: quality against bytes`,
    xLabel: 'kB, geometric mean of the photographs',
    yLabel: 'SSIMULACRA2',
    series: [...Map.groupBy(own, (sample) => sample.candidate)].map(([name, taken]) => ({
      ...named(name.slice(format.length + 2)),
      points: SCORES.flatMap((score) => {
        const pictures = [...Map.groupBy(taken, (sample) => sample.picture).values()]
        const made = pictures.map((each) => atQuality(each, 'ssimulacra2', score))
        // Where one is missing, the mean would be of other pictures.
        const bytes = made.flatMap((each) => (each ? [each.bytes / 1000] : []))
        return bytes.length === pictures.length ? [[geometricMean(bytes), score] as const] : []
      }),
    })),
  })
}

/** Bytes at our default quality against CPU time: a point for each size, from 160 px at the left to 1600. */
export function plotCpu(rows: readonly Row[]): string {
  return linePlot({
    title: 'What the bytes cost at SSIMULACRA2 75, 160 to 1600 px',
    xLabel: 'CPU of encoding, ms',
    yLabel: 'bytes, % of our JPEG of that size',
    logX: true,
    series: [...Map.groupBy(rows, (row) => row.candidate)].map(([name, own]) => ({
      ...named(name),
      points: own.map(({ cpuMs, bytesShare }) => [cpuMs, bytesShare * 100] as const),
    })),
  })
}

function named(name: string): Pick<Series, 'name' | 'dashed'> {
  return { name, dashed: !name.includes('ours') }
}
