import { createSharpEngine } from '../src/adapters/sharp/sharp-engine.ts'
import { mezzanineLevels, uprightFacts } from '../src/domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../src/domain/picture/original-facts.ts'
import { planTransform } from '../src/domain/picture/transform-plan.ts'
import { parseSpec } from '../src/domain/spec/spec.ts'
import type { Figure } from './measure.ts'
import { readPhotographs } from './render-photographs.ts'

const ENGINE = { inputFormats: ['jpeg'], maxPixels: 1e9, maxFrames: 1, timeoutSeconds: 60 } as const
const MEGAPIXELS = ['0.3', '1', '2', '12', '24'] as const
const SMOKE = ['2'] as const
const SPEC = parseSpec('400w')
const MAX_SIDE = 4096
const WARM_UP = 2
const RENDERS = 6

/** CPU time of decoding, resizing and encoding alone: what a first view costs at the least with these encoder settings. */
export async function benchPixelShare(folder: string, smoke: boolean): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const size of smoke ? SMOKE : MEGAPIXELS) {
    const photographs = smoke
      ? (await readPhotographs({ folder, prefix: '' })).slice(0, 1)
      : await readPhotographs({ folder, prefix: `${size}mp-` })
    const costs = await costsOf(photographs)
    const unit = 'ms'
    figures.push({ name: `${size} MP: rendering alone, from the mezzanine`, value: costs.mezzanine, unit })
    figures.push({ name: `  from the original`, value: costs.original, unit })
  }
  return figures
}

/** Milliseconds for one. */
async function costsOf(photographs: readonly Buffer[]): Promise<{ mezzanine: number; original: number }> {
  const engine = createSharpEngine(ENGINE)
  const sum = { mezzanine: 0, original: 0 }
  for (const original of photographs) {
    const facts = await engine.inspect({ bytes: original })
    const levels = mezzanineLevels(facts, 1).slice(0, 1)
    const [mezzanine] = await engine.reduce({ bytes: original }, facts, levels)
    const cost = async (bytes: Buffer, of: OriginalFacts): Promise<number> => {
      const plan = planTransform(SPEC, of, 'jpg', MAX_SIDE)
      const render = async (times: number) => {
        for (let count = 0; count < times; count += 1) await Promise.all(engine.render({ bytes }, [plan]))
      }
      await render(WARM_UP)
      const before = process.cpuUsage()
      await render(RENDERS)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000 / RENDERS
    }
    sum.original += await cost(original, facts)
    sum.mezzanine += await cost(mezzanine?.bytes ?? original, uprightFacts(facts))
  }
  return { mezzanine: sum.mezzanine / photographs.length, original: sum.original / photographs.length }
}
