import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { createSharpEngine } from '../src/adapters/sharp/sharp-engine.ts'
import { type MezzanineLevel, mezzanineLevels, mezzaninesFor, uprightFacts } from '../src/domain/picture/mezzanine.ts'
import type { Size } from '../src/domain/picture/original-facts.ts'
import { type Plan, plannedSize, planTransform } from '../src/domain/picture/transform-plan.ts'
import { INPUT_FORMATS } from '../src/domain/spec/image-format.ts'
import { parseSpec } from '../src/domain/spec/spec.ts'
import type { ImageEngine } from '../src/service/ports/engine.ts'
import { type Difference, difference } from '../tools/pictures/difference.ts'
import { decode, type Raster } from '../tools/pictures/raster.ts'
import { mean } from './encoder-curves.ts'
import { ensureJudge, type Judge, type Judgement } from './image-judges.ts'
import type { Figure } from './measure.ts'
import type { Measured } from './render-first-view.ts'
import { readPhotographs } from './render-photographs.ts'
import type { RenderStage } from './render-stage.ts'

const DRAWING = fileURLToPath(new URL('../docs/images/mezzanine-worst.png', import.meta.url))
const WIDTHS = [160, 320, 400, 480, 640, 800, 960, 1280] as const
const SMOKE_WIDTHS = [160, 400] as const
/** The defaults of MEZZANINE_MIN_PIXELS and MAX_SIDE. */
const MIN_PIXELS = 250_000
const MAX_SIDE = 8192
/** In thousandths, for the table's one digit. */
const WANTED_SSIM_CHANGE = '>= -2'
const ENGINE = {
  // All of them: the rest would be blocked in the whole process, and with it for what is measured after this.
  inputFormats: INPUT_FORMATS,
  maxPixels: 100_000_000,
  maxFrames: 1,
  timeoutSeconds: 60,
} as const
/** Of larger pictures the middle is drawn, smaller ones with larger pixels. */
const DRAWN_PIXELS = 400
const GAP_PIXELS = 8
/** The files only pass pixels to the judges. */
const QUICK_PNG = { compressionLevel: 1, adaptiveFiltering: false } as const

type Looks = Difference & Judgement

/** A rendition made both ways, each compared with the reference. */
interface Pair {
  readonly label: string
  /** By the order of the names, from 1. */
  readonly photograph: number
  /** Pixels. */
  readonly width: number
  readonly level: MezzanineLevel
  readonly fromOriginal: Looks
  readonly fromMezzanine: Looks
  /** PNG: the reference, from the original, from the mezzanine. */
  readonly files: readonly string[]
}

interface Tools {
  readonly engine: ImageEngine
  readonly judge: Judge
  /** For the pictures. */
  readonly folder: string
}

/**
 * What a rendition loses by being made from a mezzanine: how like the reference it looks, less how like it looks when made
 * from the original. The reference is the whole original decoded and shrunk by Lanczos' filter. Some minutes.
 */
export async function benchMezzanineQuality({ groups, smoke, folder }: RenderStage): Promise<Measured> {
  const aside = await mkdtemp(join(folder, 'quality-'))
  const tools = { engine: createSharpEngine(ENGINE), judge: await ensureJudge(), folder: aside }
  const pairs: Pair[] = []
  for (const { label, source } of groups) {
    const photographs = await readPhotographs(source)
    for (const [index, bytes] of photographs.slice(0, smoke ? 1 : photographs.length).entries()) {
      const subject = { label, photograph: index + 1, bytes }
      pairs.push(...(await comparePhotograph(subject, smoke ? SMOKE_WIDTHS : WIDTHS, tools)))
    }
  }
  const worst = worstBy(pairs, 'ssimulacra2')
  if (!smoke) await draw(worst)
  const figures = [...Map.groupBy(pairs, (pair) => pair.label)].flatMap(([label, own]) => figuresOf(label, own))
  const drawn = { name: `drawn: ${worst.label}, ${nameOf(worst)}`, value: change(worst, 'ssimulacra2'), unit: 'points' }
  const raw = pairs.map(({ files: _files, ...pair }) => pair)
  return {
    figures: smoke ? figures : [...figures, drawn],
    raw: { worst: `${worst.label}, ${nameOf(worst)}`, pairs: raw },
  }
}

interface Subject extends Pick<Pair, 'label' | 'photograph'> {
  readonly bytes: Buffer
}

/** Leaves out the widths that are made from the original anyway. */
async function comparePhotograph(
  { label, photograph, bytes }: Subject,
  widths: readonly number[],
  tools: Tools,
): Promise<Pair[]> {
  const { engine } = tools
  const facts = await engine.inspect({ bytes })
  const levels = mezzanineLevels(facts, MIN_PIXELS)
  const mezzanines = await engine.reduce({ bytes }, facts, levels)
  const shrink = await decodeWhole(bytes)
  const pairs: Pair[] = []
  for (const width of widths) {
    const spec = parseSpec(`${width}w`)
    const plan = planTransform(spec, facts, 'jpg', MAX_SIDE)
    const [level] = mezzaninesFor(plan, facts, levels)
    const mezzanine = mezzanines.find((each) => each.level === level)
    if (level === undefined || mezzanine === undefined) continue
    const planOfReduced = planTransform(spec, uprightFacts(facts), 'jpg', MAX_SIDE)
    const pngs = {
      reference: await shrink(plannedSize(plan)),
      original: await renderPng(engine, bytes, plan),
      mezzanine: await renderPng(engine, mezzanine.bytes, planOfReduced),
    }
    pairs.push(await comparePair({ label, photograph, width, level }, pngs, tools))
  }
  return pairs
}

async function comparePair(
  subject: Pick<Pair, 'label' | 'photograph' | 'width' | 'level'>,
  pngs: Readonly<Record<'reference' | 'original' | 'mezzanine', Buffer>>,
  { judge, folder }: Tools,
): Promise<Pair> {
  const name = `${subject.label}, ${nameOf(subject)}`
  const reference = await keep(pngs.reference, join(folder, `${name}.png`))
  const original = await keep(pngs.original, join(folder, `${name}, from the original.png`))
  const mezzanine = await keep(pngs.mezzanine, join(folder, `${name}, from the mezzanine.png`))
  return {
    ...subject,
    fromOriginal: await compare(reference, original, judge),
    fromMezzanine: await compare(reference, mezzanine, judge),
    files: [reference.file, original.file, mezzanine.file],
  }
}

/** Decodes every pixel, so that no short cut of ours is in what is made of them: PNG files of any size. */
async function decodeWhole(bytes: Buffer): Promise<(size: Size) => Promise<Buffer>> {
  const image = sharp(bytes).autoOrient().toColourspace('srgb').raw()
  const { data, info } = await image.toBuffer({ resolveWithObject: true })
  const raw = { width: info.width, height: info.height, channels: info.channels }
  return ({ width, height }) =>
    sharp(data, { raw }).resize({ width, height, fit: 'fill', kernel: 'lanczos3' }).png(QUICK_PNG).toBuffer()
}

async function renderPng(engine: ImageEngine, bytes: Buffer, plan: Plan): Promise<Buffer> {
  const [rendition] = engine.render({ bytes }, [plan])
  return await sharp(await rendition)
    .png(QUICK_PNG)
    .toBuffer()
}

/** A picture for either kind of judge: those that are programs, and those that are functions. */
interface Shown {
  readonly file: string
  readonly raster: Raster
}

async function keep(png: Buffer, file: string): Promise<Shown> {
  await writeFile(file, png)
  return { file, raster: await decode(png) }
}

async function compare(reference: Shown, picture: Shown, judge: Judge): Promise<Looks> {
  return { ...difference(reference.raster, picture.raster), ...(await judge(reference.file, picture.file)) }
}

function figuresOf(label: string, pairs: readonly Pair[]): Figure[] {
  const meanOf = (field: Measure) => mean(pairs.map((pair) => change(pair, field)))
  const [ssim, ssimulacra2] = [worstBy(pairs, 'ssim'), worstBy(pairs, 'ssimulacra2')]
  const thousandths = (value: number) => ({ value: value * 1000, unit: 'thousandths', wanted: WANTED_SSIM_CHANGE })
  return [
    { name: `SSIM of mezzanine's, ${label}: mean change`, ...thousandths(meanOf('ssim')) },
    { name: `  worst: ${nameOf(ssim)}`, ...thousandths(change(ssim, 'ssim')) },
    { name: '  SSIMULACRA2: mean change', value: meanOf('ssimulacra2'), unit: 'points' },
    { name: `  worst: ${nameOf(ssimulacra2)}`, value: change(ssimulacra2, 'ssimulacra2'), unit: 'points' },
  ]
}

/** Of both more is better. */
type Measure = 'ssim' | 'ssimulacra2'

function change({ fromOriginal, fromMezzanine }: Pair, measure: Measure): number {
  return fromMezzanine[measure] - fromOriginal[measure]
}

function worstBy(pairs: readonly Pair[], measure: Measure): Pair {
  const [worst] = pairs.toSorted((one, other) => change(one, measure) - change(other, measure))
  assert.ok(worst, 'Some renditions are made from mezzanines')
  return worst
}

function nameOf({ photograph, width }: Pick<Pair, 'photograph' | 'width'>): string {
  return `photograph ${photograph} at ${width} px`
}

/** Side by side: the reference, from the original, from the mezzanine. */
async function draw({ files }: Pair): Promise<void> {
  const pictures = await Promise.all(
    files.map(async (file) => {
      const { width, height } = await sharp(file).metadata()
      const side = Math.min(width, height, DRAWN_PIXELS)
      const middle = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side }
      const enlarged = { width: DRAWN_PIXELS, kernel: 'nearest' } as const
      return await sharp(await sharp(file).extract(middle).toBuffer())
        .resize(enlarged)
        .toBuffer()
    }),
  )
  const row = { across: pictures.length, shim: GAP_PIXELS, background: '#fff' }
  await sharp(pictures, { join: row }).png({ compressionLevel: 9 }).toFile(DRAWING)
}
