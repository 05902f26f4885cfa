import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CANDIDATES } from './encoder-candidates.ts'
import { atEqualQuality, DEFAULT_SCORE, type Row } from './encoder-curves.ts'
import { plotCpu, plotFormat } from './encoder-plots.ts'
import { createReference, inPictureFolder, type Sample, takeSample } from './encoder-samples.ts'
import { ensureJudge, JUDGES } from './image-judges.ts'
import type { BenchOptions, BenchReport, Figure } from './measure.ts'

const FIXTURES = fileURLToPath(new URL('../test/fixtures', import.meta.url))
const PLOTS = fileURLToPath(new URL('../docs/images', import.meta.url))
/** Foliage, a bird before blur, a room; saturated red, a brook, and a red one that fades to nothing. */
const LARGE = ['12mp-1.jpg', '12mp-5.jpg', '12mp-7.jpg'] as const
const PHOTOGRAPHS = [...LARGE, '2mp-3.jpg', '2mp-4.jpg', 'alpha-1.png'] as const
/** Longest sides, each with the originals that are shrunk to it. */
const SIZES = [
  { longestSide: 160, names: PHOTOGRAPHS },
  { longestSide: 400, names: PHOTOGRAPHS },
  { longestSide: 800, names: PHOTOGRAPHS },
  { longestSide: 1600, names: LARGE },
] as const

/**
 * Encoders at equal quality: bytes and CPU time of ours and of other services' at SSIMULACRA2 75, and plots of both in
 * docs/images. A quarter of an hour.
 */
export async function benchEncoders({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const judge = await ensureJudge()
  const folder = smoke ? FIXTURES : imagesDir
  const sizes = smoke ? [{ longestSide: 160, names: ['mountains.jpg', 'fig-alpha.png'] }] : SIZES
  const samples = await inPictureFolder(async (aside) => {
    const taken: Sample[] = []
    for (const { longestSide, names } of sizes) {
      for (const name of names) {
        const reference = await createReference(join(folder, name), longestSide, aside)
        for (const candidate of CANDIDATES) {
          for (const quality of candidate.qualities) {
            taken.push(await takeSample(reference, { candidate, quality, judge }))
          }
        }
      }
    }
    return taken
  })
  const rows = atEqualQuality(samples, { measure: 'ssimulacra2', wanted: DEFAULT_SCORE })
  const check = atEqualQuality(samples, { measure: 'butteraugli', wanted: 1 })
  if (!smoke) await draw(samples, rows)
  return { figures: sizes.flatMap((size) => figuresOf(size, rows)), raw: { judges: JUDGES, rows, check, samples } }
}

async function draw(samples: readonly Sample[], rows: readonly Row[]): Promise<void> {
  await mkdir(PLOTS, { recursive: true })
  for (const format of ['jpg', 'webp', 'avif'] as const) {
    await writeFile(join(PLOTS, `encoders-${format}.svg`), plotFormat(samples, format))
  }
  await writeFile(join(PLOTS, 'encoders-cpu.svg'), plotCpu(rows))
}

/** Bytes at the same score: ours by theirs. */
const COMPARED = [
  ['jpg: ours', 'jpg: imgproxy', 1],
  ['jpg: ours', 'jpg: ipx', 1],
  ['webp: ours', 'webp: imgproxy and ipx', 1],
  ['avif: ours', 'avif: imgproxy', 1],
  ['avif: ours, primed', 'avif: imgproxy', 1],
  ['avif: ours, primed', 'avif: ipx', 1],
  ['webp: ours', 'jpg: ours', 0.7],
  ['avif: ours', 'jpg: ours', 0.7],
  ['avif: ours, primed', 'jpg: ours', 0.7],
] as const

function figuresOf({ longestSide }: { readonly longestSide: number }, rows: readonly Row[]): Figure[] {
  const ofSize = rows.filter((row) => row.longestSide === longestSide)
  const share = (name: string) => ofSize.find((row) => row.candidate === name)?.bytesShare ?? Number.NaN
  return COMPARED.map(([one, other, limit]) => ({
    name: `${longestSide} px: ${one} / ${other}`,
    value: share(one) / share(other),
    wanted: `<= ${limit}`,
  }))
}
