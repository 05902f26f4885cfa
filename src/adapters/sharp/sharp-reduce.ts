import type { Sharp } from 'sharp'
import {
  MEZZANINE_LEVELS,
  type MezzanineLevel,
  mezzanineFormat,
  mezzanineSize,
} from '../../domain/picture/mezzanine.ts'
import { combineOrientation, turnsOnSide } from '../../domain/picture/orientation.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { Reduced } from '../../service/ports/engine.ts'
import { type Copyright, withCopyright } from './sharp-copyright.ts'
import { type PixelSource, toPixels, toSrgb, turn } from './sharp-render.ts'

// Of 1536 px at 85 the mean SSIM of what is made of it is within 0.0004 of the direct rendering, at 10 % of the bytes of a
// 12 MP photograph; at 90 within 0.0003 and 14 %. Of 768 px, where each pixel counts more, at 90 within 0.0005 and 4 %.
const QUALITY = { 768: 90, 1536: 88 } as const satisfies Record<MezzanineLevel, number>

/** Makes the reduced pictures of an original from one decoding, the largest of them from its pixels and the rest from that. */
export async function reducePicture(
  source: PixelSource,
  facts: OriginalFacts,
  { levels, copyright }: { readonly levels: readonly MezzanineLevel[]; readonly copyright: Copyright },
): Promise<Reduced[]> {
  const largest = MEZZANINE_LEVELS.findLast((level) => levels.includes(level))
  if (largest === undefined) return []
  const orientation = combineOrientation(facts.orientation, {})
  const { width, height } = mezzanineSize(facts, largest)
  const stored = turnsOnSide(orientation) ? { width: height, height: width } : { width, height }
  const image = toSrgb(source.open({ pages: 1 }).resize({ ...stored, fit: 'fill' }), facts)
  const base = await toPixels(turn(image, { orientation }), source.timeoutSeconds)
  const made: Reduced[] = []
  for (const level of levels) {
    const reduced = base.open({}).resize({ ...mezzanineSize(facts, level), fit: 'fill' })
    made.push({ level, bytes: await withCopyright(encodeReduced(reduced, facts, level), copyright).toBuffer() })
  }
  return made
}

function encodeReduced(image: Sharp, facts: OriginalFacts, level: MezzanineLevel): Sharp {
  return mezzanineFormat(facts) === 'png' ? image.png() : image.jpeg({ quality: QUALITY[level] })
}
