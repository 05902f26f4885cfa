// Makes the benchmark's originals from photographs that Debian packages carry, the same in every run.
// usage: node bench/make-images.ts OUTDIR      files that OUTDIR already has are left as they are
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp, { type Sharp } from 'sharp'
import { addSensorNoise } from '../tools/pictures/seeded-random.ts'
import { unpackPhotographs } from './debian-photographs.ts'

const PACKAGES = ['lomiri-wallpapers-16.04', 'lomiri-wallpapers-20.04'] as const
const SIZES = {
  '24mp': [6000, 4000],
  '12mp': [4000, 3000],
  '2mp': [1600, 1200],
  '1mp': [1152, 864],
  '0.3mp': [640, 480],
} as const
const SMALL = ['greentock', 'aitzgorri', 'Picture_0B', 'life', 'picos', 'friends'] as const
const PHOTOGRAPHS = {
  '24mp': ['Kleiber', 'seeding', 'Dragonfly', 'sunset'],
  '12mp': ['Dragonfly', 'sunset', 'seeding', 'Bridge', 'Kleiber', 'picos', 'Wine'],
  '2mp': SMALL,
  '1mp': SMALL,
  '0.3mp': SMALL,
} as const
const WEBPS = ['Dragonfly', 'seeding', 'Bridge'] as const
const NOISE_SIGMA = 2
const PAN = { frames: 24, width: 480, height: 270, stepX: 8, stepY: 4, frameMs: 80 } as const

type Photograph = (prefix: string) => string
type Recipe = (photograph: Photograph) => Sharp | Promise<Sharp>

/** A JPEG as a camera writes it: detail and noise down to the pixel, quality 92, 4:2:0. */
async function cameraJpeg(path: string, size: readonly [number, number], seed: number): Promise<Sharp> {
  const [width, height] = size
  const { data, info } = await sharp(path)
    .resize(width, height)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  addSensorNoise(data, NOISE_SIGMA, seed)
  return sharp(data, { raw: info }).jpeg({ quality: 92, chromaSubsampling: '4:2:0' })
}

/** A WebP of 12 MP, as a phone's app writes it. */
function phoneWebp(path: string): Sharp {
  const [width, height] = SIZES['12mp']
  return sharp(path).resize(width, height).removeAlpha().webp({ quality: 85 })
}

/** A PNG whose alpha falls off softly from the middle, so that every value of alpha occurs. */
async function softEdgedPng(path: string, width: number, height: number): Promise<Sharp> {
  const { data, info } = await sharp(path)
    .resize(width, height)
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  for (let pixel = 0; pixel < width * height; pixel++) {
    const x = (2 * (pixel % width)) / width - 1
    const y = (2 * Math.floor(pixel / width)) / height - 1
    data[4 * pixel + 3] = Math.round(255 * Math.exp(-3 * (x * x + y * y)))
  }
  return sharp(data, { raw: info }).png({ compressionLevel: 6, adaptiveFiltering: true })
}

/** A GIF that moves slowly across the photograph, so that every frame differs from the one before everywhere. */
async function panningGif(path: string): Promise<Sharp> {
  const scene = await sharp(path).resize(720, 405).png().toBuffer()
  const frames = await Promise.all(
    Array.from({ length: PAN.frames }, (_, frame) => {
      const box = { left: frame * PAN.stepX, top: frame * PAN.stepY, width: PAN.width, height: PAN.height }
      return sharp(scene).extract(box).png().toBuffer()
    }),
  )
  return sharp(frames, { join: { animated: true } }).gif({
    delay: Array<number>(PAN.frames).fill(PAN.frameMs),
    loop: 0,
  })
}

function recipes(): ReadonlyMap<string, Recipe> {
  const all = new Map<string, Recipe>()
  const addJpegs = (group: keyof typeof SIZES): void => {
    for (const [index, prefix] of PHOTOGRAPHS[group].entries()) {
      const [long, short] = SIZES[group]
      const size = prefix === 'Wine' || prefix === 'friends' ? ([short, long] as const) : ([long, short] as const)
      const seed = all.size + 1
      all.set(`${group}-${index + 1}.jpg`, (photograph) => cameraJpeg(photograph(prefix), size, seed))
    }
  }
  // The seed of the noise is a photograph's place in this list, so further ones follow at its end.
  for (const group of ['24mp', '12mp', '2mp'] as const) addJpegs(group)
  all.set('alpha-1.png', (photograph) => softEdgedPng(photograph('Picture_0B'), 1600, 1200))
  all.set('alpha-2.png', (photograph) => softEdgedPng(photograph('seeding'), 2560, 1600))
  all.set('alpha-3.png', (photograph) => softEdgedPng(photograph('picos'), 1200, 1200))
  all.set('animated.gif', (photograph) => panningGif(photograph('seeding')))
  for (const group of ['1mp', '0.3mp'] as const) addJpegs(group)
  for (const [index, prefix] of WEBPS.entries()) {
    all.set(`webp-${index + 1}.webp`, (photograph) => phoneWebp(photograph(prefix)))
  }
  return all
}

async function makeImages(outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true })
  const present = new Set(await readdir(outDir))
  const missing = [...recipes()].filter(([name]) => !present.has(name))
  if (missing.length === 0) return
  const workDir = await mkdtemp(join(tmpdir(), 'darkroom-images-'))
  try {
    const photograph = await unpackPhotographs(PACKAGES, workDir)
    for (const [name, recipe] of missing) {
      const aside = join(outDir, `.${name}.part`)
      const { width, height } = await (await recipe(photograph)).toFile(aside)
      await rename(aside, join(outDir, name))
      console.log(`${name} ${width}x${height} ${(await stat(join(outDir, name))).size} bytes`)
    }
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

const { positionals } = parseArgs({ allowPositionals: true })
const [outDir] = positionals
if (outDir === undefined) {
  console.error('usage: node bench/make-images.ts OUTDIR')
  process.exitCode = 2
} else {
  await makeImages(outDir)
}
