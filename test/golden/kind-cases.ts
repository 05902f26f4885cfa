import sharp from 'sharp'
import { decode, paint, resample, toSharp } from '../../tools/pictures/raster.ts'
import { fixture } from '../support/render.ts'
import { EXACT, type GoldenCase, PHOTOGRAPH } from './golden-case.ts'

const upright = async () => sharp(await fixture('mountains.jpg')).resize(640)

const KINDS = {
  'an interlaced PNG': async () => (await upright()).png({ progressive: true }).toBuffer(),
  'a PNG of 16 bits': async () => (await upright()).toColourspace('rgb16').png().toBuffer(),
  'a palette PNG': async () => (await upright()).png({ palette: true, colours: 64, dither: 0 }).toBuffer(),
  'a progressive JPEG': async () => (await upright()).jpeg({ progressive: true, quality: 90 }).toBuffer(),
  'a JPEG without chroma subsampling': async () => (await upright()).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
  'a grey JPEG': async () => (await upright()).grayscale().toColourspace('b-w').jpeg().toBuffer(),
  'a WebP without loss': async () => (await upright()).webp({ lossless: true, effort: 0 }).toBuffer(),
  'an AVIF': () => fixture('stream.avif'),
  'a GIF': async () => (await upright()).gif({ colours: 64, dither: 0 }).toBuffer(),
} as const

const kinds = Object.entries(KINDS).map(([name, original]) => ({
  name,
  group: 'kinds',
  original,
  spec: '160w',
  format: 'webp' as const,
  reference: async () => resample(await decode(await original()), { width: 160, height: 120 }),
  limits: PHOTOGRAPH.webp,
}))

/** A checkered square of 8 units a side in a drawing of 64: whatever its size, its edges are sharp. */
const drawing = Buffer.from(
  `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">
  <path fill="#fff" d="M0 0h64v64H0z"/><path fill="#c00" d="M16 16h16v16H16zM32 32h16v16H32z"/>
  <path fill="#00c" d="M32 16h16v16H32zM16 32h16v16H16z"/></svg>`,
)

function drawn(side: number) {
  return paint({ width: side, height: side }, (x, y) => {
    const [column, row] = [Math.floor((4 * x) / side), Math.floor((4 * y) / side)]
    if (column < 1 || column > 2 || row < 1 || row > 2) return [255, 255, 255]
    return column === row ? [204, 0, 0] : [0, 0, 204]
  })
}

const drawings = (
  [
    ['256w', 256],
    ['64w,2x', 128],
    ['full', 64],
    ['16w', 16],
    ['512s', 512],
  ] as const
).map(([spec, side]) => ({
  name: `a drawing of 64 units at ${spec}`,
  group: 'drawings',
  original: async () => drawing,
  spec,
  format: 'png' as const,
  reference: async () => drawn(side),
  limits: EXACT,
}))

const FRAMES = [0, 3, 5] as const

/** The frames of an animation, each as it would be alone. */
const animations = (['webp', 'gif'] as const).flatMap((format) =>
  FRAMES.map((page) => ({
    name: `frame ${page} of a GIF as ${format}`,
    group: 'animation',
    original: () => fixture('dandelion.gif'),
    spec: '80w',
    format,
    page,
    reference: async () => resample(await decode(await fixture('dandelion.gif'), page), { width: 80, height: 45 }),
    limits: PHOTOGRAPH[format],
  })),
)

const still: GoldenCase = {
  name: 'the first frame of a GIF as jpg',
  group: 'animation',
  original: () => fixture('dandelion.gif'),
  spec: '80w',
  format: 'jpg',
  reference: async () => resample(await decode(await fixture('dandelion.gif')), { width: 80, height: 45 }),
  limits: PHOTOGRAPH.jpg,
}

const enlarged = {
  name: 'a small picture is not enlarged',
  group: 'sizes',
  original: async () => await toSharp(drawn(64)).png().toBuffer(),
  spec: '400w400h,2x',
  format: 'png',
  reference: async () => drawn(64),
  limits: EXACT,
} satisfies GoldenCase

export const KIND_CASES: readonly GoldenCase[] = [...kinds, ...drawings, ...animations, still, enlarged]
