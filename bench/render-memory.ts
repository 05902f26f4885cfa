import assert from 'node:assert/strict'
import { cpuSecondsAtRest, peakBytesDuring, proportionalBytes } from '../tools/processes/process-use.ts'
import { type Figure, measureInTurn, median } from './measure.ts'
import type { Measured } from './render-first-view.ts'
import type { RenderStage } from './render-stage.ts'
import { filesIn, type StartServer, startBareSharp, startIpx, startNode, uploadsIn } from './render-subjects.ts'
import { askAll } from './render-views.ts'

const AT_ONCE = 64
const WIDTH = 400
const ROUNDS = 3
const SAMPLE_MS = 50
const WANTED_MB = 350
const MB = 1e6

const NAMES = ['darkroom', 'ipx', 'sharp'] as const

interface Memory {
  readonly before: number
  readonly peak: number
  readonly after: number
}

/**
 * Memory of a node and its renderers, of all processes together, while 64 clients at once ask for thumbnails of the
 * largest originals, each made from the original itself.
 */
export async function benchRenderMemory({ groups, smoke, cachesFolder }: RenderStage): Promise<Measured> {
  const group = groups.at(-1) ?? groups[0]
  const uploads = uploadsIn({ ...group.fileStore, MEZZANINE_MIN_PIXELS: '0' })
  const starts = {
    darkroom: startNode(() => Promise.resolve(uploads), cachesFolder),
    ipx: startIpx(filesIn(group.folder)),
    sharp: startBareSharp(filesIn(group.folder)),
  } satisfies Record<(typeof NAMES)[number], StartServer>
  const runs = await measureInTurn(NAMES, smoke ? 1 : ROUNDS, async (name): Promise<Memory> => {
    const server = await starts[name]()
    try {
      const urls = group.photographs.slice(0, AT_ONCE).map((photograph) => server.url(photograph, WIDTH))
      const before = await proportionalBytes(server.pid)
      const peak = await peakBytesDuring(server.pid, SAMPLE_MS, () => askAll(urls, AT_ONCE))
      assert.ok(peak > 0)
      await cpuSecondsAtRest(server.pid)
      return { before, peak, after: await proportionalBytes(server.pid) }
    } finally {
      await server.stop()
    }
  })
  const bytes = (name: (typeof NAMES)[number], field: keyof Memory) => (runs.get(name) ?? []).map((run) => run[field])
  const megabytes = (of: number) => ({ value: of / MB, unit: 'MB' })
  const figures: Figure[] = [
    {
      name: `memory, ${AT_ONCE} at once, ${group.label}: peak`,
      ...megabytes(Math.max(...bytes('darkroom', 'peak'))),
      wanted: `<= ${WANTED_MB}`,
    },
    { name: '  median peak', ...megabytes(median(bytes('darkroom', 'peak'))) },
    { name: '  before', ...megabytes(median(bytes('darkroom', 'before'))) },
    { name: '  at rest after it', ...megabytes(median(bytes('darkroom', 'after'))) },
    { name: '  ipx, median peak', ...megabytes(median(bytes('ipx', 'peak'))) },
    { name: '  sharp alone, median peak', ...megabytes(median(bytes('sharp', 'peak'))) },
  ]
  return { figures, raw: Object.fromEntries(runs) }
}
