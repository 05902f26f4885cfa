import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { filesBelow } from '../requests/ask.ts'
import { meanColour } from './perceive.ts'

const COLOURS = { red: [255, 0, 0], blue: [0, 0, 255], green: [0, 128, 0] } as const
export type Colour = keyof typeof COLOURS

/** A JPEG of one colour. All of one size have renditions of about one length. */
export function flatPicture(colour: Colour, { width = 400, height = 300 } = {}): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background: colour } })
    .jpeg()
    .toBuffer()
}

/** The same with noise in it, which makes AVIF take its time. */
export function noisyPicture(colour: Colour, { width = 400, height = 300 } = {}): Promise<Buffer> {
  // The noise has a mean of 128, so this moves no colour by more than 20.
  const shares = COLOURS[colour].map(() => 0.15)
  const offsets = COLOURS[colour].map((level) => Math.min(level, 215))
  return sharp({
    create: { width, height, channels: 3, background: colour, noise: { type: 'gaussian', mean: 128, sigma: 60 } },
  })
    .linear(shares, offsets)
    .jpeg({ quality: 90 })
    .toBuffer()
}

/** Which of them a picture was made of. */
export async function colourOf(picture: Buffer): Promise<Colour | 'another'> {
  const mean = await meanColour(picture)
  const isNear = (colour: readonly number[]) =>
    colour.every((level, index) => Math.abs(level - (mean[index] ?? 0)) < 30)
  for (const name of ['red', 'blue', 'green'] as const) if (isNear(COLOURS[name])) return name
  return 'another'
}

/** What a node keeps of originals that may change: the colours in each version's folder. */
export async function coloursOnDisk(cacheDir: string): Promise<ReadonlyMap<string, ReadonlySet<Colour | 'another'>>> {
  const folders = new Map<string, Set<Colour | 'another'>>()
  for (const file of await versionFiles(cacheDir)) {
    const folder = file.slice(0, file.lastIndexOf('/'))
    const colour = await colourOf(await readFile(join(cacheDir, 'renditions', 'version', file)))
    folders.set(folder, (folders.get(folder) ?? new Set()).add(colour))
  }
  return folders
}

/** Renditions of originals that may change, relative to the folder that has those of all versions. */
export async function versionFiles(cacheDir: string): Promise<string[]> {
  const files = await filesBelow(join(cacheDir, 'renditions', 'version'))
  return files.filter((file) => /\.(?:jpg|png|webp|avif|gif)$/.test(file))
}
