import { layOn } from '../../tools/pictures/difference.ts'
import { decode, paint, pixelAt, type Raster, resample } from '../../tools/pictures/raster.ts'
import { fixture } from '../support/render.ts'
import { EXACT, type GoldenCase, PHOTOGRAPH } from './golden-case.ts'
import { pngFile } from './png-file.ts'

const SIDE = 256
const SIZE = { width: 32, height: 32 }

/** A red disc with a hard edge. What cannot be seen around it is black: resized carelessly, it shows as a dark fringe. */
const disc = paint({ width: SIDE, height: SIDE }, (x, y) =>
  Math.hypot(x + 0.5 - SIDE / 2, y + 0.5 - SIDE / 2) < SIDE / 3 ? [255, 0, 0, 255] : [0, 0, 0, 0],
)
const discFile = async () => pngFile(disc, { colours: 'rgba', bits: 8 })
const shrunk = () => resample(disc, SIZE)

/** A GIF's pixels can be seen through, or not. */
function cutOut(raster: Raster): Raster {
  return paint(raster, (x, y) => {
    const [red = 0, green = 0, blue = 0, alpha = 0] = pixelAt(raster, x, y)
    return [red, green, blue, alpha < 128 ? 0 : 255]
  })
}

const fade = paint({ width: 64, height: 64 }, (x, y) => [4 * x, 4 * x, 4 * x, 4 * y])

export const ALPHA_CASES: readonly GoldenCase[] = [
  ...(['png', 'webp', 'avif'] as const).map((format) => ({
    name: `a disc on nothing as ${format}`,
    group: 'alpha',
    original: discFile,
    spec: '32w',
    format,
    reference: async () => shrunk(),
    limits: { deltaE: 1.5, shift: 1, ssim: 0.95 },
  })),
  {
    name: 'a disc on nothing as gif',
    group: 'alpha',
    original: discFile,
    spec: '32w',
    format: 'gif',
    reference: async () => cutOut(shrunk()),
    limits: { deltaE: 3, shift: 1, ssim: 0.85 },
  },
  ...(['ffffff', '00ff00'] as const).map((colour) => ({
    name: `a disc laid onto ${colour}`,
    group: 'alpha',
    original: discFile,
    spec: `32w,bg${colour}`,
    format: 'png' as const,
    reference: async () => paint(SIZE, onto(shrunk(), colour)),
    limits: { deltaE: 1.5, shift: 1, ssim: 0.95 },
  })),
  {
    name: 'a disc on white, as jpg has it',
    group: 'alpha',
    original: discFile,
    spec: '32w,q95',
    format: 'jpg',
    reference: async () => layOn(shrunk(), 255),
    limits: { deltaE: 4, shift: 1, ssim: 0.95 },
  },
  {
    name: 'a photograph with a soft edge',
    group: 'alpha',
    original: () => fixture('fig-alpha.png'),
    spec: '120w',
    format: 'webp',
    reference: async () => resample(await decode(await fixture('fig-alpha.png')), { width: 120, height: 90 }),
    limits: PHOTOGRAPH.webp,
  },
  {
    name: 'grey with alpha',
    group: 'alpha',
    original: async () => pngFile(fade, { colours: 'grey-alpha', bits: 8 }),
    spec: 'full',
    format: 'png',
    reference: async () => fade,
    limits: EXACT,
  },
  {
    name: 'grey with alpha, of 16 bits, half as large',
    group: 'alpha',
    original: async () => pngFile(fade, { colours: 'grey-alpha', bits: 16 }),
    spec: '32w',
    format: 'png',
    reference: async () => resample(fade, SIZE),
    limits: { deltaE: 0.5, shift: 1, ssim: 0.99 },
  },
]

function onto(raster: Raster, colour: string): (x: number, y: number) => readonly number[] {
  const ground = [0, 2, 4].map((at) => Number.parseInt(colour.slice(at, at + 2), 16))
  return (x, y) => {
    const [, , , alpha = 0] = pixelAt(raster, x, y)
    return pixelAt(raster, x, y)
      .slice(0, 3)
      .map((value, channel) => (value * alpha + (ground[channel] ?? 0) * (255 - alpha)) / 255)
  }
}
