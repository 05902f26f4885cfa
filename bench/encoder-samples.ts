import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import type { UrlFormat } from '../src/domain/spec/image-format.ts'
import type { Judge } from './image-judges.ts'

/** One way to encode, at qualities from the lowest to the highest. */
export interface Candidate {
  readonly name: string
  readonly format: UrlFormat
  readonly qualities: readonly number[]
  encode(image: Sharp, wish: { readonly quality: number; readonly pixels: number }): Sharp
}

/** A picture at the size that it is to be encoded at. */
export interface Reference {
  readonly name: string
  readonly longestSide: number
  readonly pixels: Buffer
  readonly raw: { readonly width: number; readonly height: number; readonly channels: 3 | 4 }
  /** A PNG of it, without alpha. */
  readonly file: string
}

/** What became of a reference. */
export interface Sample {
  readonly picture: string
  readonly longestSide: number
  readonly pixels: number
  readonly candidate: string
  readonly quality: number
  readonly bytes: number
  /** CPU time of encoding raw pixels, milliseconds. */
  readonly cpuMs: number
  readonly ssimulacra2: number
  readonly butteraugli: number
}

/** Short encodings are repeated for as long, so that their time can be told. */
const LEAST_CPU_MS = 40
const BACKGROUND = '#ffffff'
/** Only the next process reads it. */
const QUICK_PNG = { compressionLevel: 1, adaptiveFiltering: false } as const

/** Gives the function a folder for references and pictures, which is gone afterwards. sharp uses one thread from then on. */
export async function inPictureFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-encoders-'))
  sharp.cache(false)
  sharp.concurrency(1)
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Decodes the original as a whole and shrinks it by Lanczos' filter, so that no short cut of ours is in the reference. */
export async function createReference(original: string, longestSide: number, folder: string): Promise<Reference> {
  const name = original.slice(original.lastIndexOf('/') + 1)
  const { data, info } = await sharp(original)
    .autoOrient()
    .resize(longestSide, longestSide, { fit: 'inside', kernel: 'lanczos3', fastShrinkOnLoad: false })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  if (channels !== 3 && channels !== 4) throw new Error(`${name} is not in colour`)
  const raw = { width, height, channels }
  const file = join(folder, `${name}-${longestSide}.png`)
  await sharp(data, { raw }).flatten({ background: BACKGROUND }).png(QUICK_PNG).toFile(file)
  return { name, longestSide, pixels: data, raw, file }
}

/** Encodes the reference, and compares what a viewer sees of it with what it was. */
export async function takeSample(
  { name, longestSide, pixels, raw, file }: Reference,
  { candidate, quality, judge }: { readonly candidate: Candidate; readonly quality: number; readonly judge: Judge },
): Promise<Sample> {
  const size = { longestSide, pixels: raw.width * raw.height }
  const wish = { quality, pixels: size.pixels }
  const encode = () => candidate.encode(sharp(pixels, { raw }).flatten(FLATTEN[candidate.format]), wish).toBuffer()
  const { bytes, cpuMs } = await timed(encode)
  const shown = `${file}.${candidate.name.replaceAll(/\W+/g, '-')}.${quality}.png`
  await sharp(bytes).flatten({ background: BACKGROUND }).png(QUICK_PNG).toFile(shown)
  const judgement = await judge(file, shown)
  await rm(shown)
  return { picture: name, ...size, candidate: candidate.name, quality, bytes: bytes.length, cpuMs, ...judgement }
}

/** A JPEG can't be seen through: the service lays it onto white. */
const FLATTEN = {
  jpg: { background: BACKGROUND },
  png: false,
  webp: false,
  avif: false,
  gif: false,
} as const satisfies Record<UrlFormat, { readonly background: string } | false>

/** The shortest of several times: what the machine does besides only ever adds. */
async function timed(encode: () => Promise<Buffer>): Promise<{ readonly bytes: Buffer; readonly cpuMs: number }> {
  let least = Infinity
  for (let spent = 0; ; ) {
    const before = process.cpuUsage()
    const bytes = await encode()
    const { user, system } = process.cpuUsage(before)
    const cpuMs = (user + system) / 1000
    least = Math.min(least, cpuMs)
    spent += cpuMs
    if (spent >= LEAST_CPU_MS) return { bytes, cpuMs: least }
  }
}
