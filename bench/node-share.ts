import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cpuSecondsAtRest, ownCpuSeconds } from '../tools/processes/process-use.ts'
import { backgroundIsDone, startDarkroom } from '../tools/servers/darkroom.ts'
import { type BenchOptions, type BenchReport, median } from './measure.ts'
import { benchPixelShare } from './pixel-share.ts'
import { makeOriginals, newStageFolder } from './render-originals.ts'
import { type Photograph, uploadFiles } from './render-photographs.ts'
import { SMOKE_PREFIXES } from './render-row-list.ts'
import { startEmptyNode } from './render-subjects.ts'
import { askAll } from './render-views.ts'

const FIXTURES = join(import.meta.dirname, '../test/fixtures')
const CLIENTS = 8
const ROUNDS = 3
const VIEWS = 240
/** Each is viewed in so many sizes before the measurement: until then V8 still compiles the code of a view. */
const WARM_UP = { originals: 20, sizes: 60 } as const
const SMOKE = { views: 4, originals: 2, sizes: 1 } as const
const WIDTH = 400
/** Small originals get mezzanines too, so that the uploads do not take longer than the measurement. */
const ENV = { MEZZANINE_MIN_PIXELS: '500000' } as const
const WANTED_MS = 1.5

/**
 * CPU time of the node's own process, without its renderers, for the first view of an upload: it finds the mezzanine in an embedded store,
 * hands it to a renderer, answers, and publishes both. Until it is idle again.
 */
export async function benchNodeShare({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const { views, originals, sizes } = smoke ? SMOKE : { views: VIEWS, ...WARM_UP }
  const folder = await newStageFolder()
  try {
    const from = smoke ? { folder: FIXTURES, prefix: SMOKE_PREFIXES['2mp'] } : { folder: imagesDir, prefix: '2mp-' }
    const made = await makeOriginals({ ...from, extension: '.jpg' }, views + originals, join(folder, 'originals'))
    const env = { ...ENV, STORE: `file:${join(folder, 'store')}` }
    const photographs = await uploadAll(env, made)
    const perView: number[] = []
    for (let round = 0; round < (smoke ? 1 : ROUNDS); round += 1) {
      const node = await startEmptyNode(env, join(folder, 'caches'))
      const urls = (some: readonly Photograph[], width: number) =>
        some.map(({ id }) => `${node.url}/image/${id}/${width}w/x.jpg`)
      try {
        const known = photographs.slice(views)
        const widths = Array.from({ length: sizes }, (_, at) => WIDTH - 1 - at)
        await askAll(
          widths.flatMap((width) => urls(known, width)),
          CLIENTS,
        )
        await cpuSecondsAtRest(node.pid)
        const before = await ownCpuSeconds(node.pid)
        await askAll(urls(photographs.slice(0, views), WIDTH), CLIENTS)
        await cpuSecondsAtRest(node.pid)
        perView.push((await ownCpuSeconds(node.pid)) - before)
      } finally {
        await node.stop()
      }
    }
    const ms = perView.map((seconds) => (seconds / views) * 1000)
    const name = "the node's own CPU for a first view"
    const pixels = await benchPixelShare(smoke ? FIXTURES : imagesDir, smoke)
    return { figures: [{ name, value: median(ms), unit: 'ms', wanted: `<= ${WANTED_MS}` }, ...pixels], raw: { ms } }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function uploadAll(
  env: Readonly<Record<string, string>>,
  { folder, photographs }: Awaited<ReturnType<typeof makeOriginals>>,
): Promise<readonly Photograph[]> {
  const node = await startDarkroom({ env })
  try {
    const names = photographs.map(({ file }) => file)
    const uploaded = await uploadFiles(node.url, folder, names)
    await backgroundIsDone(node)
    assert.equal(uploaded.length, photographs.length)
    return uploaded
  } finally {
    await node.stop()
  }
}
