import type { Sharp, SharpOptions } from 'sharp'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { InputFormat } from '../../domain/spec/image-format.ts'
import type { Verified } from '../../service/ports/engine.ts'
import { copyrightOf } from './metadata-reader.ts'
import { decodeMeasurable, measurePicture, possibleLevels, readSmall } from './sharp-measure.ts'
import { encodeLevels, type Reduction } from './sharp-reduce.ts'
import { type HeldPixels, type PixelSource, toPixels } from './sharp-render.ts'

const LONGEST_SIDE = 32
/** A TIFF is decoded strictly first; an SVG has no pixels of its own. */
const NEEDS_MORE: readonly InputFormat[] = ['tiff', 'svg']
/** Formats whose decoders report damaged picture data as a warning only, and fill the gap with grey or garbage. */
const WARNS_OF_DAMAGE: readonly InputFormat[] = ['jpeg', 'tiff']
/**
 * Zeros in three bytes that have no meaning in a baseline JPEG. Some encoders write them, and libjpeg decodes such
 * files.
 */
const ODD_SCAN_HEADER = 'VipsJpeg: Invalid SOS parameters for sequential JPEG'
const ONE_WARNING = 'read gave 1 warnings'

/**
 * Decodes a picture completely, with all frames. What can be made of a sound still picture is made of the same decoding.
 *
 * @param wanted Absent: nothing is made.
 * @throws Error with libvips' message if the picture has errors.
 */
export async function verifyAndReduce(
  source: PixelSource,
  facts: OriginalFacts,
  wanted: Omit<Reduction, 'copyright'> | undefined,
): Promise<Verified> {
  const base = wanted && (await decodeSound(source, facts))
  if (wanted === undefined || base === undefined) {
    await verifyPicture((more) => source.open(more), facts)
    return {}
  }
  const metadata = await source.open({}).metadata()
  const copyright = copyrightOf(metadata)
  const { reduced, pixels } = await encodeLevels(base, facts, { ...wanted, chain: possibleLevels(facts), copyright })
  const small = await readSmall(pixels, facts)
  pixels.free()
  return { reduced, info: await measurePicture(small, facts, metadata) }
}

/**
 * The pixels of the largest level, or else of the measured picture, from which everything is made. The decoder reads all
 * of the file for either.
 * @returns undefined for a format whose check needs more, and if it did not decode without any warning: `verifyPicture` decides.
 */
async function decodeSound(source: PixelSource, facts: OriginalFacts): Promise<HeldPixels | undefined> {
  if (facts.frames > 1 || NEEDS_MORE.includes(facts.format)) return undefined
  const picture = decodeMeasurable(source, facts)
  const warnings = warningsOf(picture)
  const base = await toPixels(picture, source.timeoutSeconds).catch(() => undefined)
  if (warnings.size === 0) return base
  base?.free()
  return undefined
}

/**
 * Decodes a picture completely, with all frames.
 *
 * @param open Opens the file again, with the settings of renderings unless `options` differ.
 * @throws Error with libvips' message if the picture has errors.
 */
async function verifyPicture(open: (options: SharpOptions) => Sharp, facts: OriginalFacts): Promise<void> {
  if (facts.format === 'tiff' && (await isStrictlySound(open, facts))) return
  const picture = open(decodingOptions(facts))
  const warnings = warningsOf(picture)
  await decode(picture, facts)
  if (warnings.size === 0 || !WARNS_OF_DAMAGE.includes(facts.format)) return
  const harmless = await headerWarnings(open({}))
  if (warnings.has(ODD_SCAN_HEADER)) harmless.add(ONE_WARNING)
  // For a JPEG only the first warning is quoted, repeatedly, but all are counted: "read gave 2 warnings".
  const damage = [...warnings].filter((line) => !line.startsWith('VipsJpeg: ') && !harmless.has(line))
  if (damage.length > 0) throw new Error([...warnings].join('; '))
}

/**
 * Below 'warning' libvips silently leaves tiles black that cannot be decoded.
 * @returns false for an unusual header: then 'warning' says nothing about the picture.
 * @throws Error as `verifyPicture`.
 */
async function isStrictlySound(open: (options: SharpOptions) => Sharp, facts: OriginalFacts): Promise<boolean> {
  try {
    await decode(open({ ...decodingOptions(facts), failOn: 'warning' }), facts)
    return true
  } catch (error) {
    if ((await headerWarnings(open({}))).size === 0) throw error
    return false
  }
}

/** Renderings ignore a damaged profile, which would add a warning. */
function decodingOptions({ frames }: OriginalFacts): SharpOptions {
  return { pages: frames > 1 ? -1 : 1, ignoreIcc: true }
}

/** Small enough to cost little more than reading the file; JPEG, the most common format, is decoded at an eighth. */
async function decode(picture: Sharp, { stored }: OriginalFacts): Promise<void> {
  const scale = LONGEST_SIDE / Math.max(stored.width, stored.height)
  const width = Math.max(1, Math.round(stored.width * scale))
  const height = Math.max(1, Math.round(stored.height * scale))
  await picture.resize({ width, height, fit: 'fill' }).raw().toBuffer()
}

/** Invalid metadata, or garbage between segments: the picture does not depend on it. */
async function headerWarnings(picture: Sharp): Promise<Set<string>> {
  const warnings = warningsOf(picture)
  await picture.metadata()
  return warnings
}

/**
 * Filled while the picture is processed. sharp collects warnings per process, and a renderer does one task at a time.
 */
function warningsOf(picture: Sharp): Set<string> {
  const warnings = new Set<string>()
  picture.on('warning', (text: string) => {
    for (const line of text.split('\n')) if (line !== '') warnings.add(line)
  })
  return warnings
}
