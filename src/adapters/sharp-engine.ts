import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import sharp, { type Metadata, type OutputInfo, type Sharp, type SharpOptions } from 'sharp'
import type { InputFormat } from '../domain/image-format.ts'
import type { OriginalFacts, Size } from '../domain/original-facts.ts'
import { SNIFF_BYTES, sniffFormat } from '../domain/sniff-format.ts'
import { type Area, type InterestArea, type Plan, sizeBeforeTurn } from '../domain/transform-plan.ts'
import { OriginalError, UnavailableError } from '../errors.ts'
import type { ImageEngine, ObjectSource } from '../service/ports.ts'
import { isWholeGif } from './gif-file.ts'

export interface SharpEngineOptions {
  readonly inputFormats: readonly InputFormat[]
  /** Over all frames. */
  readonly maxPixels: number
  readonly maxFrames: number
  /** A render or check that takes longer is ended by libvips. */
  readonly timeoutSeconds: number
}

// libvips' loaders by the format that they read. What is not asked for is blocked, so that no clever file reaches it.
const LOADERS = {
  jpeg: ['VipsForeignLoadJpeg'],
  png: ['VipsForeignLoadPng'],
  webp: ['VipsForeignLoadWebp'],
  gif: ['VipsForeignLoadNsgif'],
  avif: ['VipsForeignLoadHeif'],
  heif: ['VipsForeignLoadHeif'],
  tiff: ['VipsForeignLoadTiff'],
  svg: ['VipsForeignLoadSvg'],
} as const satisfies Record<InputFormat, readonly string[]>

/** Goes up with every change of ours to what the same plan gives. */
const REVISION = 1

/**
 * The mtime that renditions get, seconds since 1970: a time in 2020-2024 that stands for this pipeline, whose parts decide
 * the bytes. nginx and Node make the ETag of it, so another encoder means another ETag.
 */
export function pipelineMtimeSeconds(): number {
  const versions = Object.entries(sharp.versions).map(([part, version]) => `${part} ${version}`)
  const parts = [REVISION, ...versions.toSorted((a, b) => (a < b ? -1 : 1))].join('\n')
  const hash = createHash('sha256').update(parts).digest().readUInt32BE(0)
  return Date.UTC(2020, 0, 1) / 1000 + (hash % (4 * 365 * 86_400))
}

/**
 * Renders with libvips. Process-wide settings of sharp are made here, so there is one engine in a process.
 */
export function createSharpEngine(options: SharpEngineOptions): ImageEngine {
  const { inputFormats, maxPixels, maxFrames, timeoutSeconds } = options
  // Renditions are cached as files, and libvips' own cache only keeps memory and open files; one thread for each render
  // makes the most of the cores when several run.
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: [...new Set(inputFormats.flatMap((format) => LOADERS[format]))] })

  function load(source: ObjectSource, more: SharpOptions): Sharp {
    // 'warning', sharp's default, refuses sound files too; a truncated one is refused all the same.
    const settings = { limitInputPixels: maxPixels, failOn: 'truncated', sequentialRead: true, ...more } as const
    return sharp('path' in source ? source.path : source.bytes, settings).timeout({ seconds: timeoutSeconds })
  }

  async function inspect(source: ObjectSource): Promise<OriginalFacts> {
    const format = sniffFormat(await readHead(source))
    if (format === undefined || !inputFormats.includes(format)) {
      throw new OriginalError('original_unsupported', `This is not an image that we read: ${inputFormats.join(', ')}`)
    }
    // The limits below give better reasons than libvips' own, and hold as early: only the header has been read.
    const metadata = await load(source, { limitInputPixels: false })
      .metadata()
      .catch((cause: unknown) => blame(source, cause))
    const facts = toFacts(format, metadata)
    const { stored, frames } = facts
    const pixels = stored.width * stored.height * frames
    if (frames > maxFrames) throw tooLarge('frames', maxFrames, frames)
    if (pixels > maxPixels) throw tooLarge('pixels', maxPixels, pixels)
    return facts
  }

  /** What fails within the time is the image's fault; libvips' messages would say no more that can be relied on. */
  async function decoding<T>(source: ObjectSource, work: Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await work
    } catch (error) {
      if (performance.now() - began < timeoutSeconds * 1000) return await blame(source, error)
      throw new UnavailableError('timed_out', 'Rendering this image took too long', { cause: error })
    }
  }

  async function render(source: ObjectSource, plan: Plan): Promise<Buffer> {
    const { crop } = plan
    const area = crop === undefined || 'left' in crop ? crop : await findInterest(source, plan, crop)
    const image = load(source, { pages: plan.animated ? -1 : 1 })
    if (plan.animated && mixesFrames(plan)) {
      return await encode(await frameByFrame(image, plan, { area, timeoutSeconds }), plan)
    }
    const rendered = effects(turn(resize(image, plan), plan, area), plan)
    // libvips writes the original's orientation into an AVIF as a turn, though all metadata is dropped, and viewers would
    // turn the upright picture once more. Raw pixels have no orientation.
    const isTagged = plan.encoding.format === 'avif' && ((await image.metadata()).orientation ?? 1) !== 1
    return await encode(isTagged ? await toRaw(rendered) : rendered, plan)
  }

  async function toRaw(image: Sharp): Promise<Sharp> {
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true })
    return sharp(data, { raw: info })
  }

  /** Where libvips' smart crop would cut the first frame, once resized and upright. */
  async function findInterest(source: ObjectSource, plan: Plan, crop: InterestArea): Promise<Area> {
    const upright = turn(resize(load(source, { pages: 1 }), plan), plan, undefined)
    const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true })
    const { width, height } = crop
    const { info: cropped } = await sharp(data, { raw: info })
      .resize({
        width,
        height,
        fit: 'cover',
        position: sharp.strategy[crop.interest === 'smart' ? 'attention' : 'entropy'],
      })
      .raw()
      .toBuffer({ resolveWithObject: true })
    // sharp gives the offsets as negative numbers.
    return { width, height, left: Math.abs(cropped.cropOffsetLeft ?? 0), top: Math.abs(cropped.cropOffsetTop ?? 0) }
  }

  return {
    inspect,
    async verify(source, facts) {
      if (facts.format === 'gif' && !(await isWholeGif(source).catch(gone))) broken(new Error('The GIF was cut'))
      // Small enough to cost little more than reading the file; JPEG, most of all uploads, is decoded at an eighth.
      const { width, height } = facts.stored
      const longest = Math.max(width, height)
      const small = {
        width: Math.max(1, Math.round((width * 32) / longest)),
        height: Math.max(1, Math.round((height * 32) / longest)),
      }
      const image = load(source, { pages: facts.frames > 1 ? -1 : 1 })
      await decoding(
        source,
        image
          .resize({ ...small, fit: 'fill' })
          .raw()
          .toBuffer(),
      )
    },
    render: (source, plan) => decoding(source, render(source, plan)),
  }
}

async function readHead(source: ObjectSource): Promise<Buffer> {
  if ('bytes' in source) return source.bytes.subarray(0, SNIFF_BYTES)
  const file = await open(source.path).catch(gone)
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(SNIFF_BYTES) })
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function resize(image: Sharp, plan: Plan): Sharp {
  return image.resize({ ...sizeBeforeTurn(plan), fit: 'fill' })
}

/**
 * Turns, then crops. sharp turns and mirrors after resizing whatever is called first, and shrinks JPEG while it decodes
 * only then: so the EXIF orientation is part of the plan's own turn, not sharp's `autoOrient`, which works before a crop.
 */
function turn(image: Sharp, { orientation }: Plan, crop: Area | undefined): Sharp {
  const turned = image.flop(orientation.flop).rotate(orientation.angle)
  return crop ? turned.extract(crop) : turned
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

/** libvips sees an animation as one tall picture, its frames one below the other. */
function mixesFrames({ orientation, blur, sharpen }: Plan): boolean {
  return orientation.angle !== 0 || blur !== undefined || sharpen
}

/** Each frame alone, where what is done to the tall picture would change their order or mix their edges. */
async function frameByFrame(image: Sharp, plan: Plan, { area, timeoutSeconds }: FrameOptions): Promise<Sharp> {
  const timeout = { seconds: timeoutSeconds }
  const deadline = performance.now() + timeoutSeconds * 1000
  const { delay, loop } = await image.clone().metadata()
  const { data, info } = await resize(image, plan).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const { width, channels, pageHeight: height = info.height } = info
  const frameBytes = width * height * channels
  const frames = data.length / frameBytes
  // Animations are large: a frame that is no larger than it was takes the place of one that is done with.
  let all = data
  let made: OutputInfo = info
  for (let frame = 0; frame < frames; frame += 1) {
    const pixels = data.subarray(frame * frameBytes, (frame + 1) * frameBytes)
    const alone = turn(sharp(pixels, { raw: { width, height, channels } }).timeout(timeout), plan, area)
    const done = await effects(alone, plan).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
    if (frame === 0 && done.data.length > frameBytes) all = Buffer.alloc(done.data.length * frames)
    done.data.copy(all, frame * done.data.length)
    made = done.info
    if (performance.now() > deadline) throw new Error('timeout: some frames are still to be made')
  }
  const { width: madeWidth, height: pageHeight, channels: madeChannels } = made
  const raw = { width: madeWidth, height: pageHeight * frames, channels: madeChannels, pageHeight }
  // Raw pixels have no timing. sharp's animated encoders share these two settings, whichever is chosen in the end.
  const timing = { ...(delay && { delay }), ...(loop !== undefined && { loop }) }
  const tall = all.subarray(0, madeWidth * pageHeight * frames * madeChannels)
  return sharp(tall, { raw }).timeout(timeout).gif(timing)
}

interface FrameOptions {
  /** What to keep of each frame, once turned. */
  readonly area: Area | undefined
  readonly timeoutSeconds: number
}

const TRANSPARENT = { r: 0, g: 0, b: 0, alpha: 0 }

function margins(picture: Size, canvas: Area): { top: number; bottom: number; left: number; right: number } {
  const { left, top } = canvas
  return { left, top, right: canvas.width - picture.width - left, bottom: canvas.height - picture.height - top }
}

function encode(image: Sharp, { encoding }: Plan): Promise<Buffer> {
  switch (encoding.format) {
    case 'jpg':
      return image.jpeg({ quality: encoding.quality }).toBuffer()
    case 'png':
      return image.png().toBuffer()
    case 'webp':
      return image.webp({ quality: encoding.quality, effort: encoding.effort }).toBuffer()
    case 'avif':
      return image.avif({ quality: encoding.quality, effort: encoding.effort }).toBuffer()
    case 'gif':
      return image.gif().toBuffer()
  }
}

function toFacts(format: InputFormat, metadata: Metadata): OriginalFacts {
  const { width, height, orientation = 1, hasAlpha, pages = 1 } = metadata
  const frames = format === 'gif' || format === 'webp' ? Math.max(1, pages) : 1
  return { format, stored: { width, height }, orientation: frames > 1 ? 1 : orientation, alpha: hasAlpha, frames }
}

function tooLarge(what: string, limit: number, actual: number): OriginalError {
  return new OriginalError('original_too_large', `An image may have at most ${limit} ${what}; this one has ${actual}`)
}

/** It is the image's fault, unless its file is not there any more. */
async function blame(source: ObjectSource, cause: unknown): Promise<never> {
  if (cause instanceof OriginalError) throw cause
  if ('path' in source) await access(source.path, constants.R_OK).catch(gone)
  broken(cause)
}

function broken(cause: unknown): never {
  throw new OriginalError('original_broken', 'This image is broken: it cannot be decoded to its end', { cause })
}

function gone(cause: unknown): never {
  throw new UnavailableError('disk_unavailable', 'This node has just lost the file of the original', { cause })
}
