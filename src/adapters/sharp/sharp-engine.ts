import { createHash } from 'node:crypto'
import { open, readFile, stat } from 'node:fs/promises'
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp'
import { pipelineTime } from '../../domain/picture/encoding.ts'
import { SNIFF_BYTES, sniffFormat, walkGif } from '../../domain/picture/file-structure.ts'
import {
  assertPictureLimits,
  brokenOriginal,
  type OriginalFacts,
  type PictureLimits,
  unsupportedOriginal,
} from '../../domain/picture/original-facts.ts'
import { decodingBytes } from '../../domain/picture/render-memory.ts'
import type { InputFormat } from '../../domain/spec/image-format.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { ImageEngine } from '../../service/ports/engine.ts'
import type { ObjectSource } from '../../service/ports/store.ts'
import { type Copyright, copyrightOf } from './metadata-reader.ts'
import { measurePicture, smallPicture } from './sharp-measure.ts'
import { reducePicture } from './sharp-reduce.ts'
import { type PixelSource, renderPlans } from './sharp-render.ts'
import { verifyAndReduce } from './sharp-verify.ts'

export interface SharpEngineOptions extends PictureLimits {
  readonly inputFormats: readonly InputFormat[]
  /** libvips aborts a longer render or check. */
  readonly timeoutSeconds: number
  /** Whether renditions carry the copyright and the artist of the original; otherwise they have no metadata. */
  readonly keepCopyright?: boolean
}

// libvips' loaders by format. Those of disabled formats are blocked, so that no crafted file reaches them.
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

/** Incremented with every change to the result of a plan. */
const REVISION = 3

/**
 * The mtime of renditions, seconds since 1970: it represents this pipeline with its libraries. nginx and Node derive
 * the ETag from it, so another encoder changes the ETag.
 */
export function pipelineMtimeSeconds(): number {
  const versions = Object.entries(sharp.versions).map(([part, version]) => `${part} ${version}`)
  const parts = [REVISION, ...versions.toSorted((a, b) => (a < b ? -1 : 1))].join('\n')
  const hash = createHash('sha256').update(parts).digest().readUInt32BE(0)
  return pipelineTime(hash)
}

/** Renders with libvips. It changes process-wide settings of sharp, so a process has one engine. */
export function createSharpEngine(options: SharpEngineOptions): ImageEngine {
  const { inputFormats, maxPixels, timeoutSeconds, keepCopyright = false } = options
  // Renditions are cached as files, and libvips' cache would only hold memory and open files. One thread for each
  // render uses the cores best when several run.
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: [...new Set(inputFormats.flatMap((format) => LOADERS[format]))] })

  function load(source: ObjectSource, more: SharpOptions): Sharp {
    // Below 'error' a TIFF with an unsupported compression is black, and a damaged PNG is accepted. 'warning', sharp's
    // default, also rejects valid files.
    const settings = { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true, ...more } as const
    return sharp('path' in source ? source.path : source.bytes, settings).timeout({ seconds: timeoutSeconds })
  }

  /**
   * An SVG may refer to other files in its folder, here the originals of others, and libvips would draw them. A buffer
   * has no folder.
   */
  async function detached(source: ObjectSource): Promise<ObjectSource> {
    if ('bytes' in source || !inputFormats.includes('svg') || sniffFormat(await readHead(source)) !== 'svg')
      return source
    return { bytes: await readFile(source.path).catch(gone) }
  }

  async function inspect(original: ObjectSource): Promise<OriginalFacts> {
    const source = await detached(original)
    const head = await readHead(source)
    const format = sniffFormat(head)
    if (format === undefined || !inputFormats.includes(format)) throw unsupportedOriginal(format, inputFormats, head)
    // The limits below have better messages than those of libvips, and apply as early: only the header has been read.
    const metadata = await load(source, { limitInputPixels: false })
      .metadata()
      .catch((cause: unknown) => blame(source, cause))
    // sharp determines the compression by the main brand of the file, and that of an AVIF may be generic HEIF.
    if (metadata.format === 'heif' && metadata.compression !== 'av1' && format !== 'avif')
      throw unsupportedOriginal('heif', inputFormats, head)
    const facts = toFacts(format, metadata)
    assertPictureLimits(options, facts)
    return facts
  }

  /** A failure within the timeout is the image's fault; messages of libvips are not reliable enough for more. */
  async function decoding<T>(source: ObjectSource, work: Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await work
    } catch (error) {
      if (performance.now() - began < timeoutSeconds * 1000) return await blame(source, error)
      throw new UnavailableError('timed_out', 'Rendering this image took too long (RENDER_TIMEOUT_SECONDS)', {
        cause: error,
      })
    }
  }

  /** If this fails, rendering fails as well, with its own error. */
  const readCopyright = async (source: ObjectSource): Promise<Copyright> =>
    copyrightOf(
      await load(await detached(source), {})
        .metadata()
        .catch(() => ({})),
    )

  async function openPixels(original: ObjectSource): Promise<PixelSource> {
    const source = await detached(original)
    return { open: (more) => load(source, more), timeoutSeconds }
  }

  return {
    inspect,
    async verify(source, facts, levels) {
      if (facts.format === 'gif' && !(await isWholeGif(source).catch(gone))) {
        throw brokenOriginal('gif', new Error('The GIF ends before the trailer'))
      }
      const wanted = levels && { levels, originalBytes: await sizeOf(source) }
      return await decoding(source, verifyAndReduce(await openPixels(source), facts, wanted))
    },
    render(source, plans) {
      const copyright = keepCopyright ? readCopyright(source) : Promise.resolve({})
      return renderPlans(openPixels(source), plans, copyright).map((made) => decoding(source, made))
    },
    async measure(source, facts) {
      const metadata = await load(await detached(source), {})
        .metadata()
        .catch((cause: unknown) => blame(source, cause))
      const picture = smallPicture(await openPixels(source), facts)
      return await decoding(source, measurePicture(await picture, facts, metadata))
    },
    async reduce(source, facts, levels) {
      // Always with its copyright, so that renditions of the reduced picture can have it.
      const copyright = await readCopyright(source)
      const reduction = { levels, copyright, originalBytes: await sizeOf(source) }
      return await decoding(source, reducePicture(await openPixels(source), facts, reduction))
    },
  }
}

async function sizeOf(source: ObjectSource): Promise<number> {
  return 'bytes' in source ? source.bytes.length : (await stat(source.path).catch(gone)).size
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

const SAMPLE_BYTES: Readonly<Record<string, number>> = { ushort: 2, short: 2, uint: 4, int: 4, float: 4, double: 8 }

function toFacts(format: InputFormat, metadata: Metadata): OriginalFacts {
  const { width, height, orientation = 1, hasAlpha, pages = 1, depth, channels, icc } = metadata
  const frames = format === 'gif' || format === 'webp' ? Math.max(1, pages) : 1
  const held = decodingBytes({
    format,
    size: { width, height },
    frames,
    channels,
    bytesPerSample: SAMPLE_BYTES[depth] ?? 1,
    progressive: metadata.isProgressive,
    halvedColours: metadata.chromaSubsampling?.startsWith('4:2:0') ?? false,
  })
  return {
    format,
    stored: { width, height },
    orientation: frames > 1 ? 1 : orientation,
    alpha: hasAlpha,
    ...(depth === 'ushort' && channels >= 3 && icc !== undefined && { deepProfile: true }),
    ...(held > 0 && { decodingBytes: held }),
    frames,
  }
}

/** It is the image's fault, unless the file is gone. */
async function blame(source: ObjectSource, cause: unknown): Promise<never> {
  if (cause instanceof OriginalError) throw cause
  throw brokenOriginal(sniffFormat(await readHead(source)), cause)
}

function gone(cause: unknown): never {
  throw new UnavailableError('disk_unavailable', 'The local copy of the original was deleted; try again', { cause })
}

const WINDOW_BYTES = 256 * 1024

/** Whether a GIF is complete. Reads it once, with little memory. */
async function isWholeGif(source: ObjectSource): Promise<boolean> {
  const walk = walkGif()
  if ('bytes' in source) return finish(walk, (at) => source.bytes[at])
  const file = await open(source.path)
  try {
    const window = Buffer.alloc(WINDOW_BYTES)
    let start = 0
    let end = 0
    let step = walk.next()
    while (!step.done) {
      if (step.value < start || step.value >= end) {
        start = step.value
        end = start + (await file.read(window, 0, WINDOW_BYTES, start)).bytesRead
      }
      step = walk.next(step.value < end ? window[step.value - start] : undefined)
    }
    return step.value
  } finally {
    await file.close()
  }
}

function finish(walk: ReturnType<typeof walkGif>, byteAt: (at: number) => number | undefined): boolean {
  let step = walk.next()
  while (!step.done) step = walk.next(byteAt(step.value))
  return step.value
}
