import { encode } from 'blurhash'
import sharp, { type Metadata, type Sharp } from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'
import {
  type Animation,
  differenceHash,
  dominantColour,
  HASHED_SIZE,
  type ImageInfo,
  imageInfo,
} from '../../domain/info/image-info.ts'
import { type MezzanineLevel, mezzanineLevels } from '../../domain/picture/mezzanine.ts'
import {
  combineOrientation,
  displayedSize,
  type OriginalFacts,
  type Size,
  turnsOnSide,
} from '../../domain/picture/original-facts.ts'
import type { ReadMetadata } from './metadata-reader.ts'
import { decodeReduced, encodeLevels, largestLevel } from './sharp-reduce.ts'
import { type PixelSource, toPixels, toSrgb, turn } from './sharp-render.ts'

/** Longest side of the measured picture. */
const LONGEST_SIDE = 100
/** BlurHash and ThumbHash have at most seven waves a side. Of 100 px they take ten times as long. */
const BLURRED_SIDE = 32
const SPACES: Readonly<Record<string, string>> = { srgb: 'rgb', rgb16: 'rgb', 'b-w': 'gray', grey16: 'gray' }
const DEPTH_BITS: Readonly<Record<string, number>> = { uchar: 8, char: 8, ushort: 16, short: 16, float: 32 }

/** Measures the displayed picture, and reads the metadata of the file. */
export async function measurePicture(
  picture: SmallPicture,
  facts: OriginalFacts,
  metadata: Metadata,
): Promise<ImageInfo> {
  const { space, depth, bitsPerSample } = metadata
  const { groups, cut, place, iccProfile } = await read(metadata)
  const animation = animationOf(facts, metadata)
  const blurred = await reduced(picture)
  return imageInfo(facts, {
    colorSpace: SPACES[space] ?? space,
    ...(iccProfile !== undefined && { iccProfile }),
    bitsPerSample: bitsPerSample ?? DEPTH_BITS[depth] ?? 8,
    ...(animation && { animation }),
    dominantColor: dominantColour(picture.rgba),
    thumbHash: thumbHash(blurred),
    blurHash: blurHash(blurred),
    perceptualHash: await hashOf(picture),
    metadata: groups,
    metadataCut: cut,
    ...(place && { place }),
  })
}

/** Loading the readers takes 40 ms and 13 MB, which a renderer that only renders does not need. */
async function read({ exif, iptc, xmp, icc }: Metadata): Promise<ReadMetadata> {
  if ([exif, iptc, xmp, icc].every((block) => block === undefined)) return { groups: {}, cut: false }
  const { readMetadata } = await import('./metadata-reader.ts')
  return readMetadata({ exif, iptc, xmp, icc })
}

/**
 * Upright, in sRGB, with alpha; the first frame of an animation. From the pixels of the smallest mezzanine, made as with an
 * upload, so that the result is the same whenever it is measured, and whether the original has mezzanines.
 */
export async function smallPicture(source: PixelSource, facts: OriginalFacts): Promise<SmallPicture> {
  const base = await toPixels(decodeMeasurable(source, facts), source.timeoutSeconds)
  const nothing = { levels: [], copyright: {}, originalBytes: 0 }
  const { pixels } = await encodeLevels(base, facts, { ...nothing, chain: possibleLevels(facts) })
  const small = await readSmall(pixels, facts)
  pixels.free()
  return small
}

/** The levels of an original, regardless of the settings. */
export function possibleLevels(facts: OriginalFacts): readonly MezzanineLevel[] {
  return mezzanineLevels(facts, 1)
}

/** The upright picture in sRGB, of the largest possible level, or of the measured size if there is none. */
export function decodeMeasurable(source: PixelSource, facts: OriginalFacts): Sharp {
  const largest = largestLevel(possibleLevels(facts))
  if (largest !== undefined) return decodeReduced(source, facts, largest)
  const orientation = combineOrientation(facts.orientation, {})
  const { width, height } = smallSize(displayedSize(facts), LONGEST_SIDE)
  const stored = turnsOnSide(orientation) ? { width: height, height: width } : { width, height }
  return turn(toSrgb(source.open({ pages: 1 }).resize({ ...stored, fit: 'fill' }), facts), { orientation })
}

/** @param base The upright picture, of any size. */
export async function readSmall(base: PixelSource, facts: OriginalFacts): Promise<SmallPicture> {
  const size = smallSize(displayedSize(facts), LONGEST_SIDE)
  const image = base
    .open({})
    .resize({ ...size, fit: 'fill' })
    .toColourspace('srgb')
    .ensureAlpha()
  return { ...size, rgba: await image.raw({ depth: 'uchar' }).toBuffer() }
}

async function reduced(picture: SmallPicture): Promise<SmallPicture> {
  const size = smallSize(picture, BLURRED_SIDE)
  const rgba = await open(picture)
    .resize({ ...size, fit: 'fill' })
    .raw()
    .toBuffer()
  return { ...size, rgba }
}

function open({ width, height, rgba }: SmallPicture): Sharp {
  return sharp(rgba, { raw: { width, height, channels: 4 } })
}

function smallSize({ width, height }: Size, longest: number): Size {
  const scale = Math.min(1, longest / Math.max(width, height))
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) }
}

async function hashOf(picture: SmallPicture): Promise<string> {
  const grey = open(picture)
    .flatten({ background: '#fff' })
    .toColourspace('b-w')
    .resize({ ...HASHED_SIZE, fit: 'fill' })
  return differenceHash(await grey.extractChannel(0).raw().toBuffer())
}

function animationOf({ frames }: OriginalFacts, { delay = [], loop = 0 }: Metadata): Animation | undefined {
  if (frames === 1) return undefined
  return { durationMs: delay.reduce((sum, ms) => sum + ms, 0), loop }
}

/** Pixels with alpha, not premultiplied, row by row; at most 100 a side. */
export interface SmallPicture {
  readonly width: number
  readonly height: number
  readonly rgba: Uint8Array
}

/** Base64 for the reference decoder. Keeps alpha and the aspect ratio. */
function thumbHash({ width, height, rgba }: SmallPicture): string {
  return Buffer.from(rgbaToThumbHash(width, height, rgba)).toString('base64')
}

/** Base83, of 4x3 components, upright 3x4. It has no alpha: the background is white, as in a JPEG. */
function blurHash({ width, height, rgba }: SmallPicture): string {
  const [across, down] = width >= height ? [4, 3] : [3, 4]
  return encode(onWhite(rgba), width, height, across, down)
}

function onWhite(rgba: Uint8Array): Uint8ClampedArray {
  const opaque = new Uint8ClampedArray(rgba.length)
  for (const [at, value] of rgba.entries()) {
    const alpha = (rgba[at | 3] ?? 255) / 255
    opaque[at] = (at & 3) === 3 ? 255 : value * alpha + 255 * (1 - alpha)
  }
  return opaque
}
