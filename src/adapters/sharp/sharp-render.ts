import sharp, { type OutputInfo, type Sharp, type SharpOptions } from 'sharp'
import { type Encoding, encodingCost } from '../../domain/picture/encoding.ts'
import type { OriginalFacts, Size } from '../../domain/picture/original-facts.ts'
import {
  type Area,
  type InterestArea,
  type Plan,
  plannedSize,
  sizeBeforeTurn,
} from '../../domain/picture/transform-plan.ts'
import { freeBuffer } from '../calls/free-buffer.ts'
import { type Copyright, withCopyright } from './metadata-reader.ts'

/** Source pixels, opened again for each use. */
export interface PixelSource {
  open(options: SharpOptions): Sharp
  /** Options of each use. */
  readonly timeoutSeconds: number
}

/** Makes a rendition of each plan, one after the other, the fastest first; a still original is decoded once. */
export function renderPlans(
  source: Promise<PixelSource>,
  plans: readonly Plan[],
  copyright: Promise<Copyright>,
): readonly Promise<Buffer>[] {
  const still = plans.filter((plan) => !plan.animated)
  const base = still.length > 1 ? source.then((opened) => decodeBase(opened, still)) : source
  // Each plan awaits these pixels; a failure without a waiting plan is not unhandled.
  base.catch(() => {})
  copyright.catch(() => {})
  const order = plans.toSorted((one, other) => costOf(one) - costOf(other))
  const made = new Map<Plan, Promise<Buffer>>()
  let last: Promise<unknown> = Promise.resolve()
  for (const plan of order) {
    const before = last
    const rendition = (async () => {
      await before
      const image = await renderPlan(await (plan.animated ? source : base), plan)
      return await encode(withCopyright(image, await copyright), plan.encoding).toBuffer()
    })()
    last = rendition.catch(() => {})
    made.set(plan, rendition)
  }
  return plans.map((plan) => made.get(plan) ?? Promise.reject(new TypeError('A plan was lost')))
}

function costOf(plan: Plan): number {
  const { width, height } = plannedSize(plan)
  return encodingCost(plan.encoding.format, width * height)
}

/**
 * The smallest picture from which all plans can be made. Its aspect ratio is that of no plan, as each resizes the
 * whole.
 */
async function decodeBase(source: PixelSource, plans: readonly Plan[]): Promise<PixelSource> {
  const sizes = plans.map(sizeBeforeTurn)
  const size = {
    width: Math.max(...sizes.map(({ width }) => width)),
    height: Math.max(...sizes.map(({ height }) => height)),
  }
  const whole = source.open({ pages: 1 }).resize({ ...size, fit: 'fill' })
  return await toPixels(toSrgb(whole, { ...plans[0] }), source.timeoutSeconds)
}

/** Pixels in memory. */
export interface HeldPixels extends PixelSource {
  /**
   * Frees the memory when nothing reads the pixels any more. Otherwise V8 collects all garbage each time that some 64 MB have been
   * allocated: after one to two uploads of 12 MP. May be repeated.
   */
  free(): void
}

/** Executes the operations on an image so far. */
export async function toPixels(image: Sharp, timeoutSeconds: number): Promise<HeldPixels> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  const raw = { width, height, channels }
  return {
    open: () => sharp(data, { raw }).timeout({ seconds: timeoutSeconds }),
    timeoutSeconds,
    free: () => freeBuffer(data),
  }
}

async function renderPlan(source: PixelSource, plan: Plan): Promise<Sharp> {
  if (plan.animated && mixesFrames(plan)) return await frameByFrame(source, plan)
  const turned = turn(resize(source.open({ pages: plan.animated ? -1 : 1 }), plan), plan)
  const cut = await crop(turned, plan, source)
  const rendered = effects(cut, plan)
  // libvips writes the orientation into an AVIF as a rotation even without metadata, and viewers would rotate the
  // upright picture again. Raw pixels have no orientation.
  const isTagged = plan.encoding.format === 'avif' && ((await cut.metadata()).orientation ?? 1) !== 1
  return isTagged ? (await toPixels(rendered, source.timeoutSeconds)).open({}) : rendered
}

async function crop(turned: Sharp, plan: Plan, source: PixelSource): Promise<Sharp> {
  const { crop: area } = plan
  if (area === undefined) return turned
  if ('left' in area) return turned.extract(area)
  if (plan.animated) return turned.extract(await interestOfFirst(source, plan, area))
  const pixels = await toPixels(turned, source.timeoutSeconds)
  return pixels.open({}).extract(await findInterest(pixels, area))
}

/** The crop of an animation's first frame applies to all frames. */
async function interestOfFirst(source: PixelSource, plan: Plan, area: InterestArea): Promise<Area> {
  const first = turn(resize(source.open({ pages: 1 }), plan), plan)
  return await findInterest(await toPixels(first, source.timeoutSeconds), area)
}

/** The position of libvips' smart crop. */
async function findInterest(pixels: PixelSource, { width, height, interest }: InterestArea): Promise<Area> {
  const position = sharp.strategy[interest === 'smart' ? 'attention' : 'entropy']
  const { info } = await pixels
    .open({})
    .resize({ width, height, fit: 'cover', position })
    .raw()
    .toBuffer({ resolveWithObject: true })
  // sharp returns the offsets as negative numbers.
  return { width, height, left: Math.abs(info.cropOffsetLeft ?? 0), top: Math.abs(info.cropOffsetTop ?? 0) }
}

function resize(image: Sharp, plan: Plan): Sharp {
  return toSrgb(image.resize({ ...sizeBeforeTurn(plan), fit: 'fill' }), plan)
}

/**
 * sharp converts pictures of 16 bits with a profile to Display P3 and labels them sRGB: all colours would be too dull.
 * Other pictures are not affected.
 */
export function toSrgb(image: Sharp, { deepProfile }: Pick<OriginalFacts, 'deepProfile'>): Sharp {
  return deepProfile ? image.withIccProfile('srgb', { attach: false }) : image
}

/**
 * sharp rotates and mirrors after resizing, in any order of the calls, and only then uses shrink-on-load for JPEG: so
 * the EXIF orientation is part of the plan's rotation, and sharp's `autoOrient`, which works before a crop, is not
 * used.
 */
export function turn(image: Sharp, { orientation }: Pick<Plan, 'orientation'>): Sharp {
  return image.flop(orientation.flop).rotate(orientation.angle)
}

function effects(image: Sharp, { resize: size, pad, background, gray, blur, sharpen }: Plan): Sharp {
  const colour = background === undefined ? TRANSPARENT : `#${background}`
  if (background !== undefined) image.flatten({ background: colour })
  if (pad) image.extend({ ...margins(size, pad), background: colour })
  if (gray) image.grayscale()
  if (blur !== undefined) image.blur(blur)
  if (sharpen) image.sharpen()
  return image
}

/** libvips treats an animation as one tall picture with its frames one below the other. */
function mixesFrames({ orientation, blur, sharpen }: Plan): boolean {
  return orientation.angle !== 0 || blur !== undefined || sharpen
}

/** Processes each frame separately if an operation on the tall picture would change their order or mix their edges. */
async function frameByFrame(source: PixelSource, plan: Plan): Promise<Sharp> {
  const { timeoutSeconds } = source
  const timeout = { seconds: timeoutSeconds }
  const deadline = performance.now() + timeoutSeconds * 1000
  const area = await frameArea(source, plan)
  const image = source.open({ pages: -1 })
  const { delay, loop } = await image.clone().metadata()
  const { data, info } = await resize(image, plan).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const { width, channels, pageHeight: height = info.height } = info
  const frameBytes = width * height * channels
  const frames = data.length / frameBytes
  // Animations are large: a frame that has not grown is written over a finished one.
  let all = data
  let made: OutputInfo = info
  for (let frame = 0; frame < frames; frame += 1) {
    const pixels = data.subarray(frame * frameBytes, (frame + 1) * frameBytes)
    const alone = turn(sharp(pixels, { raw: { width, height, channels } }).timeout(timeout), plan)
    const cut = area === undefined ? alone : alone.extract(area)
    const done = await effects(cut, plan).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
    if (frame === 0 && done.data.length > frameBytes) all = Buffer.alloc(done.data.length * frames)
    done.data.copy(all, frame * done.data.length)
    made = done.info
    if (performance.now() > deadline) throw new Error('timeout: some frames are not rendered')
  }
  const { width: madeWidth, height: pageHeight, channels: madeChannels } = made
  const raw = { width: madeWidth, height: pageHeight * frames, channels: madeChannels, pageHeight }
  // Raw pixels have no timing. sharp's animated encoders share these two settings.
  const timing = { ...(delay && { delay }), ...(loop !== undefined && { loop }) }
  const tall = all.subarray(0, madeWidth * pageHeight * frames * madeChannels)
  return sharp(tall, { raw }).timeout(timeout).gif(timing)
}

/** The part of each rotated frame to keep. */
async function frameArea(source: PixelSource, plan: Plan): Promise<Area | undefined> {
  const { crop: area } = plan
  return area === undefined || 'left' in area ? area : await interestOfFirst(source, plan, area)
}

const TRANSPARENT = { r: 0, g: 0, b: 0, alpha: 0 }

function margins(picture: Size, canvas: Area): { top: number; bottom: number; left: number; right: number } {
  const { left, top } = canvas
  return { left, top, right: canvas.width - picture.width - left, bottom: canvas.height - picture.height - top }
}

/** Selects and configures the encoder. */
export function encode(image: Sharp, encoding: Encoding): Sharp {
  switch (encoding.format) {
    case 'jpg':
      return image.jpeg({
        quality: encoding.quality,
        chromaSubsampling: encoding.chroma444 ? '4:4:4' : '4:2:0',
        trellisQuantisation: encoding.trellis,
        quantisationTable: encoding.quantisationTable,
      })
    case 'png':
      return image.png()
    case 'webp':
      return image.webp({
        quality: encoding.quality,
        effort: encoding.effort,
        smartSubsample: encoding.smartSubsample,
      })
    case 'avif':
      return image.avif({
        quality: encoding.quality,
        effort: encoding.effort,
        chromaSubsampling: encoding.chroma444 ? '4:4:4' : '4:2:0',
        tune: encoding.tune,
      })
    case 'gif':
      return image.gif()
    case 'tiff':
      // Lossless, in the most compatible way.
      return image.tiff({ compression: 'lzw', predictor: 'horizontal' })
  }
}
