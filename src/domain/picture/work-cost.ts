import type { InputFormat, OutputFormat } from '../spec/image-format.ts'
import { deviceBox, type Spec } from '../spec/spec.ts'
import { encodingCost } from './encoding.ts'
import type { OriginalFacts } from './original-facts.ts'
import { type Plan, plannedSize } from './transform-plan.ts'

// All in milliseconds of CPU on the machine that they were measured on, like `encodingCost`: what counts is the one beside the
// other. How fast this machine is, and how busy, is learnt while it works.

/** Opening a file, the messages between the processes, and what else every picture costs. */
const FIXED_MS = 3

/** Decoding, and shrinking to a thumbnail. A JPEG is shrunk while it is decoded. */
const DECODING_MS_PER_MEGAPIXEL = {
  jpeg: 1.5,
  tiff: 3,
  webp: 8,
  png: 8,
  gif: 8,
  avif: 45,
  heif: 45,
  // It is drawn at the size that is wanted.
  svg: 8,
} as const satisfies Record<InputFormat, number>

/** Of an original of which nothing is known yet: a photograph of 12 MP, or what a drawing takes. */
const USUAL_DECODING_MS = 20
/** Of a rendition of which no size is known. */
const USUAL_SIDE = 1000

/** Decoding what a picture is made from. @param frames Of those, the ones that are needed. */
export function decodingCost({ format, stored }: Pick<OriginalFacts, 'format' | 'stored'>, frames: number): number {
  return FIXED_MS + (DECODING_MS_PER_MEGAPIXEL[format] * stored.width * stored.height * frames) / 1_000_000
}

/** Encoding what a plan makes. @param frames Of the original. */
export function planCost(plan: Plan, frames: number): number {
  const { width, height } = plannedSize(plan)
  return encodingCost(plan.encoding.format, width * height * (plan.animated ? frames : 1))
}

/** A whole rendition, before anything is known of its original. @param format Absent: nobody has chosen one yet. */
export function expectedCost(spec: Spec, format: OutputFormat = 'webp'): number {
  const { width, height } = deviceBox(spec)
  const pixels = (width ?? height ?? USUAL_SIDE) * (height ?? width ?? USUAL_SIDE)
  return FIXED_MS + USUAL_DECODING_MS + encodingCost(format, pixels)
}
