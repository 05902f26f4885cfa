import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { inScope } from '../tools/processes/scope.ts'
import { type BenchOptions, measureInTurn } from './measure.ts'
import type { Measured } from './render-first-view.ts'
import { isDone, type Load, measureLoad } from './render-load.ts'
import { makeOriginals, newStageFolder, type Originals, placeOriginals, type RowStage } from './render-originals.ts'
import type { Photograph } from './render-photographs.ts'
import { viewFigures } from './render-row-figures.ts'
import {
  MANY_CLIENTS,
  ORIGINALS,
  type OriginalsKind,
  type Row,
  SMOKE_PREFIXES,
  type ViewRow,
  viewsOf,
} from './render-row-list.ts'
import {
  findImgproxy,
  type Output,
  type RenderServer,
  type StartServer,
  startBareSharp,
  startIpx,
  startNode,
} from './render-subjects.ts'
import { benchUploading } from './render-uploading.ts'
import { askAll, askEach } from './render-views.ts'

const FIXTURES = fileURLToPath(new URL('../test/fixtures', import.meta.url))
const ROUNDS = 3
const WIDTH = 400
const SMOKE_WIDTH = 100
const SMOKE_VIEWS = 8
const SMOKE_ROWS_AT_ONCE = 4
const WARM_UP = 16
const WARM_UP_CLIENTS = 8
/** Widths in which other originals are viewed before a measurement. */
const WARM_UP_WIDTHS = [90, 180, 220, 260, 340]
/** How many of them: an AVIF of ipx takes half a second. */
const WARM_UP_SIZES = { jpg: 5, webp: 5, avif: 1 } as const
/** Whether the pictures are right is looked at in the first ones. */
const CHECKED = 4
const SHARP_FORMATS = { jpg: 'jpeg', webp: 'webp', avif: 'heif' } as const

/** First views by size, format and place of the original, by output and by number of clients; and uploads. */
export async function benchRows(rows: readonly Row[], options: BenchOptions): Promise<Measured> {
  const folder = await newStageFolder()
  const made = new Map<OriginalsKind, Promise<Originals>>()
  const originalsOf = async (kind: OriginalsKind): Promise<Originals> => {
    const count = Math.max(...rows.filter(({ originals }) => originals === kind).map(viewsOf))
    const promise = made.get(kind) ?? make(kind, count, join(folder, kind), options)
    made.set(kind, promise)
    return await promise
  }
  const benchRow = async (row: Row) => {
    const originals = await originalsOf(row.originals)
    const aside = join(folder, row.name)
    await mkdir(aside)
    const stage = { originals, aside, rounds: options.smoke ? 1 : (options.rounds ?? ROUNDS), smoke: options.smoke }
    const measured = row.kind === 'views' ? await benchViews(row, stage) : await benchUploading(row, stage)
    await rm(aside, { recursive: true })
    return measured
  }
  try {
    // The figures of a smoke run are meaningless anyway.
    const measured = await pLimit(options.smoke ? SMOKE_ROWS_AT_ONCE : 1).map(rows, benchRow)
    return {
      figures: measured.flatMap(({ figures }) => figures),
      raw: Object.fromEntries(rows.map((row, at) => [row.name, { row, ...measured[at]?.raw }])),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function make(
  kind: OriginalsKind,
  count: number,
  folder: string,
  { smoke, imagesDir }: BenchOptions,
): Promise<Originals> {
  const { prefix, extension } = ORIGINALS[kind]
  return smoke
    ? await makeOriginals({ folder: FIXTURES, prefix: SMOKE_PREFIXES[kind], extension }, SMOKE_VIEWS + 1, folder)
    : await makeOriginals({ folder: imagesDir, prefix, extension }, count + WARM_UP, folder)
}

async function benchViews(row: ViewRow, { originals, aside, rounds, smoke }: RowStage) {
  return await inScope(async (scope) => {
    const { ours, peers, photographs } = await placeOriginals(scope, originals, { ...row, aside })
    const imgproxy = await findImgproxy(peers)
    const starts = new Map<string, StartServer>([
      ['ours', startNode(ours, join(aside, 'caches'))],
      ['ipx', startIpx(peers)],
      ['sharp', startBareSharp(peers)],
      ...(imgproxy ? ([['imgproxy', imgproxy]] as const) : []),
    ])
    const count = smoke ? SMOKE_VIEWS : viewsOf(row)
    const loads = await measureInTurn([...starts.keys()], rounds, async (name): Promise<Load> => {
      const server = await starts.get(name)?.()
      assert.ok(server)
      try {
        const others = photographs.slice(smoke ? -1 : -WARM_UP)
        await warmUp(server, others, smoke ? 1 : WARM_UP_SIZES[row.output], row.output)
        const width = smoke ? SMOKE_WIDTH : WIDTH
        return await measureViews(server, { row, photographs: photographs.slice(0, count), width })
      } finally {
        await server.stop()
      }
    })
    return { figures: viewFigures(row, loads), raw: { loads: Object.fromEntries(loads) } }
  })
}

async function warmUp(server: RenderServer, photographs: readonly Photograph[], sizes: number, output: Output) {
  const urls = WARM_UP_WIDTHS.slice(0, sizes).flatMap((width) =>
    photographs.map((photograph) => server.url(photograph, width, output)),
  )
  await askAll(urls, WARM_UP_CLIENTS)
}

interface Views {
  readonly row: ViewRow
  readonly photographs: readonly Photograph[]
  /** Pixels. */
  readonly width: number
}

async function measureViews(server: RenderServer, { row, photographs, width }: Views): Promise<Load> {
  const { output, clients } = row
  const urls = photographs.map((photograph) => server.url(photograph, width, output))
  const { load, answers } = await measureLoad(server, () => askEach(urls, clients), clients >= MANY_CLIENTS)
  for (const { bytes } of answers.filter(isDone).slice(0, CHECKED)) {
    const { format, width: made } = await sharp(bytes).metadata()
    assert.deepEqual({ format, width: made }, { format: SHARP_FORMATS[output], width })
  }
  return load
}
