import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { backgroundIsDone, fixture, startDarkroom } from '../tools/servers/darkroom.ts'
import { newStore } from '../tools/servers/site.ts'
import type { BenchOptions } from './measure.ts'
import {
  type Photograph,
  type PhotographSource,
  readPhotographs,
  uploadFiles,
  writeCopies,
} from './render-photographs.ts'

const WARM_UP = 16
const GROUPS = [
  { name: '12mp', label: '12 MP', count: 84 },
  { name: '24mp', label: '24 MP', count: 80 },
] as const
const SMOKE_GROUPS = [{ name: 'smoke', label: '5 MP', count: 4 }] as const
const SMOKE_SIZE = { width: 2600, height: 1950 } as const

/** Photographs of one size, in a folder and in stores that a node has filled and left. */
export interface Group {
  readonly label: string
  readonly source: PhotographSource
  /** Where the files are, for the peers. */
  readonly folder: string
  readonly photographs: readonly Photograph[]
  /** Others, to be asked for before anything counts. */
  readonly warmUp: readonly Photograph[]
  /** Root of the store on this disk. */
  readonly storeFolder: string
  /** What makes a node use the store on this disk, and the one in S3. */
  readonly fileStore: Readonly<Record<string, string>>
  readonly s3Store: Readonly<Record<string, string>>
}

export interface RenderStage {
  readonly smoke: boolean
  /** By falling use: the first is what the parts take that need one. */
  readonly groups: readonly [Group, ...Group[]]
  /** For whatever else a part needs. */
  readonly folder: string
  readonly cachesFolder: string
  remove(): Promise<void>
}

/** Makes the photographs, uploads them, and waits until the node that took them has nothing left to do. */
export async function setRenderStage({ smoke, imagesDir }: BenchOptions): Promise<RenderStage> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-bench-render-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const s3Store = (await newStore()).env
    const groups: Group[] = []
    for (const { name, label, count } of smoke ? SMOKE_GROUPS : GROUPS) {
      const source = { folder: smoke ? await makeSmokeFolder(folder) : imagesDir, prefix: name }
      const photographsFolder = join(folder, name)
      const names = await writeCopies(await readPhotographs(source), count + (smoke ? 1 : WARM_UP), photographsFolder)
      const storeFolder = join(folder, `store-${name}`)
      const fileStore = { STORE: `file:${storeFolder}` }
      const all = await fillStore(fileStore, photographsFolder, names)
      await fillStore(s3Store, photographsFolder, names)
      const photographs = all.slice(0, count)
      const warmUp = all.slice(count)
      groups.push({ label, source, folder: photographsFolder, photographs, warmUp, storeFolder, fileStore, s3Store })
    }
    const [first, ...others] = groups
    if (first === undefined) throw new Error('There are no photographs')
    return { smoke, groups: [first, ...others], folder, cachesFolder: join(folder, 'caches'), remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function makeSmokeFolder(parent: string): Promise<string> {
  const folder = join(parent, 'originals')
  await mkdir(folder)
  const image = sharp(await fixture('mountains.jpg')).resize({ ...SMOKE_SIZE, fit: 'fill' })
  await image.toFile(join(folder, `${SMOKE_GROUPS[0].name}.jpg`))
  return folder
}

async function fillStore(
  env: Readonly<Record<string, string>>,
  folder: string,
  names: readonly string[],
): Promise<Photograph[]> {
  const node = await startDarkroom({ env })
  try {
    const photographs = await uploadFiles(node.url, folder, names)
    await backgroundIsDone(node)
    return photographs
  } finally {
    await node.stop()
  }
}
