import type { Sharp, SharpOptions } from 'sharp'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { InputFormat } from '../../domain/spec/image-format.ts'

const LONGEST_SIDE = 32
/** Their decoders report damaged picture data as a mere warning, and fill the gap with grey or garbage. */
const WARNS_OF_DAMAGE: readonly InputFormat[] = ['jpeg', 'tiff']
/** Zeroes in three bytes that mean nothing in a baseline JPEG. Some encoders write them, and libjpeg decodes such files. */
const ODD_SCAN_HEADER = 'VipsJpeg: Invalid SOS parameters for sequential JPEG'
const ONE_WARNING = 'read gave 1 warnings'

/**
 * Decodes a picture to its end, all frames of it.
 *
 * @param open Opens the file anew, with the settings of every rendering where `options` say nothing else.
 * @throws Error with what libvips says of a picture that decodes with errors.
 */
export async function verifyPicture(open: (options: SharpOptions) => Sharp, facts: OriginalFacts): Promise<void> {
  if (facts.format === 'tiff' && (await isStrictlySound(open, facts))) return
  const picture = open(decodingOptions(facts))
  const warnings = warningsOf(picture)
  await decode(picture, facts)
  if (warnings.size === 0 || !WARNS_OF_DAMAGE.includes(facts.format)) return
  const harmless = await headerWarnings(open({}))
  if (warnings.has(ODD_SCAN_HEADER)) harmless.add(ONE_WARNING)
  // Of a JPEG the first warning is quoted only, again and again, but all are counted: "read gave 2 warnings".
  const damage = [...warnings].filter((line) => !line.startsWith('VipsJpeg: ') && !harmless.has(line))
  if (damage.length > 0) throw new Error([...warnings].join('; '))
}

/**
 * Below 'warning' libvips leaves tiles black that cannot be decoded, and says nothing.
 * @returns false for a header that is odd by itself: then 'warning' says nothing of the picture.
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

/** A damaged profile is ignored by renderings, and would add its own warning. */
function decodingOptions({ frames }: OriginalFacts): SharpOptions {
  return { pages: frames > 1 ? -1 : 1, ignoreIcc: true }
}

/** Small enough to cost little more than reading the file; JPEG, most of all uploads, is decoded at an eighth. */
async function decode(picture: Sharp, { stored }: OriginalFacts): Promise<void> {
  const scale = LONGEST_SIDE / Math.max(stored.width, stored.height)
  const width = Math.max(1, Math.round(stored.width * scale))
  const height = Math.max(1, Math.round(stored.height * scale))
  await picture.resize({ width, height, fit: 'fill' }).raw().toBuffer()
}

/** Odd metadata, or junk between segments: the picture does not depend on it. */
async function headerWarnings(picture: Sharp): Promise<Set<string>> {
  const warnings = warningsOf(picture)
  await picture.metadata()
  return warnings
}

/** Filled while the picture is worked on. sharp collects warnings per process, and a renderer does one task at a time. */
function warningsOf(picture: Sharp): Set<string> {
  const warnings = new Set<string>()
  picture.on('warning', (text: string) => {
    for (const line of text.split('\n')) if (line !== '') warnings.add(line)
  })
  return warnings
}
