import type { OutputFormat } from '../src/domain/spec/image-format.ts'
import { linePlot, type Series } from '../tools/pictures/line-plot.ts'
import { atQuality, geometricMean, type Row } from './encoder-curves.ts'
import type { Sample } from './encoder-samples.ts'

/** The size that the curves of quality are drawn for. */
const LONGEST_SIDE = 400
const SCORES = [72, 75, 78, 81]

/** Quality against bytes: our encoders of a format, whole lines, against others, dashed. */
export function plotFormat(samples: readonly Sample[], format: OutputFormat): string {
  const own = samples.filter((each) => each.longestSide === LONGEST_SIDE && each.candidate.startsWith(`${format}: `))
  const byCandidate = Map.groupBy(own, (sample) => sample.candidate)
  const bytesAt = (taken: readonly Sample[], picture: string, score: number) =>
    atQuality(
      taken.filter((sample) => sample.picture === picture),
      'ssimulacra2',
      score,
    )?.bytes
  // The mean is of the same pictures everywhere: those that every candidate was sampled around every score of.
  const pictures = [...new Set(own.map((sample) => sample.picture))].filter((picture) =>
    [...byCandidate.values()].every((taken) => SCORES.every((score) => bytesAt(taken, picture, score) !== undefined)),
  )
  return linePlot({
    title: `${format} at ${LONGEST_SIDE} px: quality against bytes`,
    xLabel: `kB, geometric mean of ${pictures.length} photographs`,
    yLabel: 'SSIMULACRA2',
    series: [...byCandidate].map(([name, taken]) => ({
      ...named(name.slice(format.length + 2)),
      points: SCORES.map((score) => {
        const bytes = pictures.map((picture) => bytesAt(taken, picture, score) ?? Number.NaN)
        return [geometricMean(bytes) / 1000, score] as const
      }),
    })),
  })
}

/** Bytes at our default quality against CPU time: a point for each size, in their order. */
export function plotCpu(rows: readonly Row[]): string {
  return linePlot({
    title: 'What the bytes cost at SSIMULACRA2 75, from 160 px on',
    xLabel: 'CPU of encoding, ms',
    yLabel: 'bytes, % of our JPEG of that size',
    logX: true,
    series: [...Map.groupBy(rows.filter(isService), (row) => row.candidate)].map(([name, own]) => ({
      ...named(name),
      points: own
        .toSorted((a, b) => a.longestSide - b.longestSide)
        .map(({ cpuMs, bytesShare }) => [cpuMs, bytesShare * 100] as const),
    })),
  })
}

/** Not one of the other settings that were tried. */
function isService({ candidate, pictures }: Row): boolean {
  return pictures > 0 && /ours|imgproxy|ipx/.test(candidate)
}

function named(name: string): Pick<Series, 'name' | 'dashed'> {
  return { name, dashed: !name.includes('ours') }
}
