import type { BenchOptions, BenchReport } from './measure.ts'
import { benchFirstViews, benchSrcset, type Measured } from './render-first-view.ts'
import { benchRenderMemory } from './render-memory.ts'
import { benchNegotiated } from './render-negotiated.ts'
import { benchMezzaninePrice } from './render-price.ts'
import { benchMezzanineQuality } from './render-quality.ts'
import { type RenderStage, setRenderStage } from './render-stage.ts'
import { findImgproxy } from './render-subjects.ts'

const PARTS = {
  firstViews: benchFirstViews,
  srcset: benchSrcset,
  mezzanine: benchMezzaninePrice,
  quality: benchMezzanineQuality,
  negotiated: benchNegotiated,
  memory: benchRenderMemory,
} as const satisfies Record<string, (stage: RenderStage) => Promise<Measured>>

/**
 * What a viewer of a picture waits for when nobody has seen it in that size, what it costs the machine, and what that
 * speed is paid with; against ipx, sharp alone, and imgproxy where it is on the PATH.
 */
export async function benchRender(options: BenchOptions): Promise<BenchReport> {
  const stage = await setRenderStage(options)
  try {
    const figures: Measured['figures'][number][] = []
    const raw: Record<string, unknown> = {}
    for (const [name, part] of Object.entries(PARTS)) {
      const measured = await part(stage)
      figures.push(...measured.figures)
      raw[name] = measured.raw
    }
    const notes = (await findImgproxy(stage.folder)) ? [] : ['imgproxy is not on the PATH, so it was not measured']
    return { figures, notes, raw }
  } finally {
    await stage.remove()
  }
}
