import assert from 'node:assert/strict'
import { cpuSecondsAtRest } from '../tools/processes/process-use.ts'
import { type Figure, measureInTurn, median } from './measure.ts'
import type { Measured } from './render-first-view.ts'
import type { RenderStage } from './render-stage.ts'
import { startEmptyNode } from './render-subjects.ts'
import { askAll, type Picture, percentile99 } from './render-views.ts'

const ORIGINALS = 42
const ROUNDS = 2
const WIDTHS = [200, 400, 800, 1200, 1600, 2000] as const
const ACCEPT = {
  avif: 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
  webp: 'image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
} as const
const WANTED = '<= 1.5'

const WAYS = ['avif alone', 'webp alone', 'avif of 4', 'webp of 4'] as const
type Way = (typeof WAYS)[number]

type Views = ReadonlyMap<number, readonly Omit<Picture, 'bytes'>[]>

/**
 * The first view of a URL without extension, by browsers that read AVIF and by those that read WebP: each width of each
 * photograph once, on a node that has seen none of them; one at a time, and four.
 */
export async function benchNegotiated({ groups: [group], smoke, cachesFolder }: RenderStage): Promise<Measured> {
  const widths = smoke ? WIDTHS.slice(0, 2) : WIDTHS
  const photographs = group.photographs.slice(0, smoke ? 2 : ORIGINALS)
  const runs = await measureInTurn(WAYS, smoke ? 1 : ROUNDS, async (way): Promise<Views> => {
    const node = await startEmptyNode(group.fileStore, cachesFolder)
    try {
      const accept = way.startsWith('avif') ? ACCEPT.avif : ACCEPT.webp
      const clients = way.endsWith('alone') ? 1 : 4
      const viewAll = async (views: readonly [{ readonly id: string }, number][]) =>
        await askAll(
          views.map(([{ id }, width]) => `${node.url}/image/${id}/${width}w`),
          clients,
          accept,
        )
      await viewAll(group.warmUp.map((photograph, at) => [photograph, widths[at % widths.length] ?? 0]))
      await cpuSecondsAtRest(node.pid)
      // Each photograph begins with another width, because the first one has the original fetched.
      const views = photographs.flatMap((photograph, at) =>
        widths.map((_, turn): [typeof photograph, number] => [photograph, widths[(at + turn) % widths.length] ?? 0]),
      )
      const pictures = await viewAll(views)
      return new Map(
        widths.map((width) => [width, pictures.filter((_, at) => views[at]?.[1] === width).map(withoutBytes)]),
      )
    } finally {
      await node.stop()
    }
  })
  const viewsOf = (way: Way, width: number) => (runs.get(way) ?? []).flatMap((run) => run.get(width) ?? [])
  const ms = (way: Way, width: number) => viewsOf(way, width).map((view) => view.ms)
  const figures = widths.flatMap((width): Figure[] => {
    const typesOfAll = new Set(viewsOf('avif alone', width).map(({ type }) => type.replace('image/', '')))
    assert.ok(typesOfAll.size > 0)
    return [
      {
        name: `${width} px, ${[...typesOfAll].join(' or ')}: p99, of WebP's`,
        value: percentile99(ms('avif alone', width)) / percentile99(ms('webp alone', width)),
        wanted: WANTED,
      },
      {
        name: '  with 4 clients',
        value: percentile99(ms('avif of 4', width)) / percentile99(ms('webp of 4', width)),
        wanted: WANTED,
      },
      { name: "  median, of WebP's", value: median(ms('avif alone', width)) / median(ms('webp alone', width)) },
      { name: "  median of the AVIF browser's", value: median(ms('avif alone', width)), unit: 'ms' },
      { name: '    its p99', value: percentile99(ms('avif alone', width)), unit: 'ms' },
      { name: "  median of the WebP browser's", value: median(ms('webp alone', width)), unit: 'ms' },
      { name: '    its p99', value: percentile99(ms('webp alone', width)), unit: 'ms' },
    ]
  })
  const raw = Object.fromEntries([...runs].map(([way, rounds]) => [way, rounds.map((run) => Object.fromEntries(run))]))
  return { figures, raw }
}

function withoutBytes({ type, ms }: Picture): Omit<Picture, 'bytes'> {
  return { type, ms }
}
