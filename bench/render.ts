import type { BenchOptions, BenchReport, Figure } from './measure.ts'
import { benchFirstViews, benchSrcset, type Measured } from './render-first-view.ts'
import { benchRenderMemory } from './render-memory.ts'
import { benchNegotiated } from './render-negotiated.ts'
import { benchMezzaninePrice } from './render-price.ts'
import { benchMezzanineQuality } from './render-quality.ts'
import { ROWS, SMOKE_ROWS } from './render-row-list.ts'
import { benchRows } from './render-rows.ts'
import { type RenderStage, setRenderStage } from './render-stage.ts'
import { filesIn, findImgproxy } from './render-subjects.ts'

const PARTS = {
  firstViews: benchFirstViews,
  srcset: benchSrcset,
  mezzanine: benchMezzaninePrice,
  quality: benchMezzanineQuality,
  negotiated: benchNegotiated,
  memory: benchRenderMemory,
} as const satisfies Record<string, (stage: RenderStage) => Promise<Measured>>

/** What `--rows` selects by parts of their names. */
export const RENDER_ROW_NAMES: readonly string[] = [...Object.keys(PARTS), ...ROWS.map(({ name }) => name)]

/**
 * What a viewer of a picture waits for when nobody has seen it in that size, what it costs the machine, and what that
 * speed is paid with; against ipx, sharp alone, and imgproxy where it is on the PATH.
 */
export async function benchRender(options: BenchOptions): Promise<BenchReport> {
  const isWanted = (name: string) => options.rows?.some((part) => name.includes(part)) ?? true
  const figures: Figure[] = []
  const raw: Record<string, unknown> = {}
  const parts = Object.entries(PARTS).filter(([name]) => isWanted(name))
  if (parts.length > 0) {
    const stage = await setRenderStage(options)
    try {
      for (const [name, part] of parts) {
        const measured = await part(stage)
        figures.push(...measured.figures)
        raw[name] = measured.raw
      }
    } finally {
      await stage.remove()
    }
  }
  const rows = (options.smoke ? SMOKE_ROWS : ROWS).filter(({ name }) => isWanted(name))
  const measured = await benchRows(rows, options)
  figures.push(...measured.figures)
  raw['rows'] = measured.raw
  const notes = (await findImgproxy(filesIn('/'))) ? [] : ['imgproxy is not on the PATH, so it was not measured']
  return { figures, notes, raw }
}
