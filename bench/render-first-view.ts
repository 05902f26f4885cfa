import assert from 'node:assert/strict'
import sharp from 'sharp'
import { cpuSecondsAtRest } from '../tools/processes/process-use.ts'
import { type Figure, measureInTurn, median } from './measure.ts'
import type { Photograph } from './render-photographs.ts'
import type { Group, RenderStage } from './render-stage.ts'
import {
  filesIn,
  findImgproxy,
  type StartServer,
  startBareSharp,
  startIpx,
  startNode,
  uploadsIn,
} from './render-subjects.ts'
import { askAll, percentile99 } from './render-views.ts'

const CLIENTS = 8
const ROUNDS = 3
/** So that a server counts as it runs after its first minutes: code compiled, codecs loaded, threads and connections there. */
const WARM_UP_WIDTHS = [100, 140, 180, 220, 260, 300, 340, 380]
const FIRST_VIEWS = [
  { width: 400, wanted: { '12 MP': 2.5, '24 MP': 4 } },
  { width: 160, wanted: { '12 MP': 4, '24 MP': 6 } },
] as const
const SRCSET = { originals: 20, widths: [160, 320, 480, 640, 960, 1280], wanted: 3 } as const

interface Load {
  readonly requestsPerSecond: number
  readonly cpuMilliseconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly medianBytes: number
}

type View = readonly [photograph: Photograph, width: number]
type Name = 'ipx' | 'sharp' | 'imgproxy' | 'darkroom' | 'darkroomS3'

const NAMES = {
  ipx: 'ipx',
  sharp: 'sharp alone',
  imgproxy: 'imgproxy',
  darkroom: 'ours',
  darkroomS3: 'ours, of S3',
} as const satisfies Record<Name, string>

export interface Measured {
  readonly figures: readonly Figure[]
  readonly raw: unknown
}

/** The first thumbnail of each photograph, on a node that has seen none of them. */
export async function benchFirstViews({ groups, smoke, cachesFolder }: RenderStage): Promise<Measured> {
  const figures: Figure[] = []
  const raw: Record<string, unknown> = {}
  for (const group of groups) {
    for (const { width, wanted } of FIRST_VIEWS) {
      const views = group.photographs.map((photograph): View => [photograph, width])
      const loads = await measureLoads({ group, cachesFolder }, views, smoke)
      const title = `${width} px, ${group.label}`
      figures.push(...ratios(title, loads, wantedOf(wanted, group.label)))
      raw[title] = Object.fromEntries(loads)
    }
  }
  return { figures, raw }
}

/** Every width of a srcset, once, of some photographs, on a node that has seen none of them. */
export async function benchSrcset({ groups: [group], smoke, cachesFolder }: RenderStage): Promise<Measured> {
  const photographs = group.photographs.slice(0, smoke ? 2 : SRCSET.originals)
  const views = photographs.flatMap((photograph) => SRCSET.widths.map((width): View => [photograph, width]))
  const loads = await measureLoads({ group, cachesFolder }, views, smoke)
  const title = `${photographs.length} x ${SRCSET.widths.length}, ${group.label}`
  return { figures: ratios(title, loads, SRCSET.wanted), raw: Object.fromEntries(loads) }
}

function wantedOf(wanted: Readonly<Record<string, number>>, label: string): number | undefined {
  return wanted[label]
}

async function measureLoads(
  { group, cachesFolder }: { readonly group: Group; readonly cachesFolder: string },
  views: readonly View[],
  smoke: boolean,
): Promise<ReadonlyMap<Name, readonly Load[]>> {
  const files = filesIn(group.folder)
  const imgproxy = await findImgproxy(files)
  const node = (env: Group['fileStore']) => startNode(() => Promise.resolve(uploadsIn(env)), cachesFolder)
  const starts = new Map<Name, StartServer>([
    ['ipx', startIpx(files)],
    ['sharp', startBareSharp(files)],
    ...(imgproxy ? ([['imgproxy', imgproxy]] as const) : []),
    ['darkroom', node(group.fileStore)],
    ['darkroomS3', node(group.s3Store)],
  ])
  const warmUp = (smoke ? [100] : WARM_UP_WIDTHS).flatMap((width) => group.warmUp.map((each): View => [each, width]))
  return await measureInTurn([...starts.keys()], smoke ? 1 : ROUNDS, async (name) => {
    const start = starts.get(name)
    assert.ok(start)
    return await measureLoad(start, views, warmUp)
  })
}

/** A new server each time, warmed up with other photographs: it has not seen any of these. */
async function measureLoad(start: StartServer, views: readonly View[], warmUp: readonly View[]): Promise<Load> {
  const server = await start()
  try {
    const urlsOf = (wanted: readonly View[]) => wanted.map(([photograph, width]) => server.url(photograph, width))
    await askAll(urlsOf(warmUp), CLIENTS)
    const before = await cpuSecondsAtRest(server.pid)
    const began = performance.now()
    const pictures = await askAll(urlsOf(views), CLIENTS)
    const seconds = (performance.now() - began) / 1000
    const cpu = (await cpuSecondsAtRest(server.pid)) - before
    for (const [at, [, width]] of views.slice(0, SRCSET.widths.length).entries()) {
      const { format, width: made } = await sharp(pictures[at]?.bytes).metadata()
      assert.deepEqual({ format, width: made }, { format: 'jpeg', width })
    }
    const times = pictures.map(({ ms }) => ms)
    return {
      requestsPerSecond: views.length / seconds,
      cpuMilliseconds: (cpu / views.length) * 1000,
      p50Ms: median(times),
      p99Ms: percentile99(times),
      medianBytes: median(pictures.map(({ bytes }) => bytes.length)),
    }
  } finally {
    await server.stop()
  }
}

function ratios(title: string, loads: ReadonlyMap<Name, readonly Load[]>, wanted: number | undefined): Figure[] {
  const of = (name: Name, field: keyof Load) => median((loads.get(name) ?? []).map((load) => load[field]))
  const want = wanted === undefined ? {} : { wanted: `>= ${wanted}` }
  const faster = (ours: Name, theirs: Name) => of(ours, 'requestsPerSecond') / of(theirs, 'requestsPerSecond')
  const cheaper = (ours: Name, theirs: Name) => of(theirs, 'cpuMilliseconds') / of(ours, 'cpuMilliseconds')
  const against = (theirs: Name): Figure[] => [
    { name: `${title}: rate, of ${NAMES[theirs]}'s`, value: faster('darkroom', theirs), ...(theirs === 'ipx' && want) },
    { name: `  CPU of ${NAMES[theirs]}, of ours`, value: cheaper('darkroom', theirs), ...want },
  ]
  return [
    ...against('ipx'),
    ...against('sharp'),
    ...(loads.has('imgproxy') ? against('imgproxy') : []),
    { name: `  with S3: rate, of ipx's`, value: faster('darkroomS3', 'ipx') },
    { name: `  with S3: CPU of ipx, of ours`, value: cheaper('darkroomS3', 'ipx') },
    ...[...loads.keys()].flatMap((name): Figure[] => [
      { name: `  ${NAMES[name]}`, value: of(name, 'requestsPerSecond'), unit: 'requests/s' },
      { name: '    CPU for one', value: of(name, 'cpuMilliseconds'), unit: 'ms' },
      { name: '    bytes of one', value: of(name, 'medianBytes') / 1000, unit: 'kB' },
    ]),
  ]
}
