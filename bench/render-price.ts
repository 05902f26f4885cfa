import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { withComment } from '../tools/pictures/distinct-copy.ts'
import { cpuSecondsAtRest } from '../tools/processes/process-use.ts'
import { filesBelow } from '../tools/requests/ask.ts'
import { backgroundIsDone, type Darkroom, startDarkroom } from '../tools/servers/darkroom.ts'
import { type Figure, measureInTurn, median } from './measure.ts'
import type { Measured } from './render-first-view.ts'
import { readPhotographs, uploadBytes } from './render-photographs.ts'
import type { RenderStage } from './render-stage.ts'

const ROUNDS = 5
const CLIENTS = 4
const WANTED_SHARE: Readonly<Record<string, string>> = { '12 MP': '<= 0.25', '24 MP': '<= 0.12' }
const WAYS = { with: {}, without: { MEZZANINE_MIN_PIXELS: '0' } } as const
const WAY_NAMES = ['with', 'without'] as const
type Way = (typeof WAY_NAMES)[number]

interface Uploads {
  /** One after the other, each when the one before has been dealt with altogether. */
  readonly aloneMs: readonly number[]
  /** Several at once, without a pause. */
  readonly busyMs: readonly number[]
}

/** What the reduced pictures weigh in the store, and what making them costs whoever uploads. */
export async function benchMezzaninePrice({ groups, smoke }: RenderStage): Promise<Measured> {
  const figures: Figure[] = []
  const raw: Record<string, unknown> = {}
  for (const { label, source, storeFolder } of groups) {
    const bytes = await bytesByKind(storeFolder)
    const share = (bytes.get('mezzanines') ?? 0) / (bytes.get('originals') ?? Number.NaN)
    const wanted = WANTED_SHARE[label]
    const runs = await benchUploadTimes(await readPhotographs(source), smoke)
    const ms = (way: Way, kind: keyof Uploads) => median((runs.get(way) ?? []).flatMap((run) => run[kind]))
    figures.push(
      { name: `mezzanines' bytes of originals', ${label}`, value: share, ...(wanted !== undefined && { wanted }) },
      { name: '  time of an upload, of without', value: ms('with', 'aloneMs') / ms('without', 'aloneMs'), wanted: '1' },
      { name: '  the same, four at once', value: ms('with', 'busyMs') / ms('without', 'busyMs'), wanted: '1' },
      { name: '  an upload', value: ms('with', 'aloneMs'), unit: 'ms' },
      { name: '  one without mezzanine', value: ms('without', 'aloneMs'), unit: 'ms' },
    )
    raw[label] = { bytes: Object.fromEntries(bytes), ...Object.fromEntries(runs) }
  }
  return { figures, raw }
}

async function bytesByKind(storeFolder: string): Promise<ReadonlyMap<string, number>> {
  const bytes = new Map<string, number>()
  for (const file of await filesBelow(storeFolder)) {
    const kind = file.slice(0, file.indexOf('/'))
    bytes.set(kind, (bytes.get(kind) ?? 0) + (await stat(join(storeFolder, file))).size)
  }
  return bytes
}

async function rest(node: Darkroom): Promise<void> {
  await backgroundIsDone(node)
  await cpuSecondsAtRest(node.pid)
}

async function benchUploadTimes(
  photographs: readonly Buffer[],
  smoke: boolean,
): Promise<ReadonlyMap<Way, readonly Uploads[]>> {
  const nodes = {
    with: await startDarkroom({ env: WAYS.with }),
    without: await startDarkroom({ env: WAYS.without }),
  } satisfies Record<Way, unknown>
  let copies = 0
  const upload = async (way: Way, photograph: Buffer): Promise<number> => {
    copies += 1
    return (await uploadBytes(nodes[way].url, withComment(photograph, `price ${copies}`))).ms
  }
  try {
    for (const way of WAY_NAMES) for (const photograph of photographs) await upload(way, photograph)
    return await measureInTurn(WAY_NAMES, smoke ? 1 : ROUNDS, async (way) => {
      const aloneMs: number[] = []
      for (const photograph of photographs) {
        await rest(nodes[way])
        aloneMs.push(await upload(way, photograph))
      }
      await rest(nodes[way])
      const busyMs = await pLimit(CLIENTS).map([...photographs, ...photographs], (each) => upload(way, each))
      await rest(nodes[way])
      assert.ok(aloneMs.length > 0)
      return { aloneMs, busyMs }
    })
  } finally {
    for (const way of WAY_NAMES) await nodes[way].stop()
  }
}
