import {
  ADOBE_RGB,
  convert,
  DISPLAY_P3,
  type RgbSpace,
  SRGB,
  srgbOfLab,
  type Triple,
} from '../../tools/pictures/colour.ts'
import { decode, paint, pixelAt, type Raster, resample } from '../../tools/pictures/raster.ts'
import { fixture } from '../support/render.ts'
import { cmykJpeg, PATCH } from './cmyk-jpeg.ts'
import { EXACT, type GoldenCase, once, PHOTOGRAPH } from './golden-case.ts'
import { cmykProfile, greyProfile, rgbProfile } from './icc-profile.ts'
import { type PngOptions, pngFile } from './png-file.ts'

const SPACES = { 'Display P3': DISPLAY_P3, 'Adobe RGB': ADOBE_RGB, sRGB: SRGB } as const

/** Every mix of six steps of red, green and blue: all are within sRGB. */
const STEP = 8
const COLUMNS = 18
const CHART = { width: COLUMNS * STEP, height: 12 * STEP }
const chart = paint(CHART, (x, y) => {
  const index = Math.floor(x / STEP) + COLUMNS * Math.floor(y / STEP)
  return [index % 6, Math.floor(index / 6) % 6, Math.floor(index / 36)].map((step) => 51 * step)
})

/** The same colours, as that space stores them. */
function inSpace(shown: Raster, space: RgbSpace): Raster {
  return paint(shown, (x, y) =>
    convert(pixelAt(shown, x, y), SRGB, space).map((value) => Math.min(Math.max(value, 0), 255)),
  )
}

const charts = Object.entries(SPACES).flatMap(([name, space]) =>
  ([8, 16] as const).map((bits) => ({
    name: `a chart in ${name} of ${bits} bits`,
    group: 'colour',
    original: async () => pngFile(inSpace(chart, space), { colours: 'rgb', bits, profile: rgbProfile(space) }),
    spec: 'full',
    format: 'png' as const,
    reference: async () => chart,
    limits: EXACT,
  })),
)

const photograph = once(async () => resample(await decode(await fixture('mountains.jpg')), { width: 320, height: 240 }))
const thumbnail = once(async () => resample(await photograph(), { width: 160, height: 120 }))

const photographs = Object.entries(SPACES).flatMap(([name, space]) =>
  (['jpg', 'webp', 'avif'] as const).map((format) => ({
    name: `a photograph in ${name} as ${format}`,
    group: 'colour',
    original: async () => {
      const stored = inSpace(await photograph(), space)
      return pngFile(stored, { colours: 'rgb', bits: 16, profile: rgbProfile(space) })
    },
    spec: '160w',
    format,
    reference: thumbnail,
    limits: PHOTOGRAPH[format],
  })),
)

// Inks as none are, so that whoever leaves the profile out shows other colours; all of them together are black.
function labOfInks([cyan = 0, magenta = 0, yellow = 0, black = 0]: readonly number[]): Triple {
  return [
    100 - 25 * cyan - 25 * magenta - 15 * yellow - 35 * black,
    30 * cyan - 22 * magenta - 8 * yellow,
    30 * yellow - 20 * cyan - 10 * magenta,
  ]
}
const mixes = [0, 1, 2, 3].map((row) =>
  [0, 1, 2, 3].map((column) => [row & 2, row & 1, column & 2, column & 1].map(Boolean)),
)
const inkChart = paint({ width: 4 * PATCH, height: 4 * PATCH }, (x, y) => {
  const inks = mixes[Math.floor(y / PATCH)]?.[Math.floor(x / PATCH)] ?? []
  return srgbOfLab(labOfInks(inks.map(Number))).map((value) => Math.min(Math.max(value, 0), 255))
})
const inkJpeg = () =>
  cmykJpeg(
    mixes.map((row) => row.map((inks) => inks.map((ink) => (ink ? 255 : 0)))),
    cmykProfile(labOfInks),
  )

const ramp = paint({ width: 128, height: 32 }, (x) => [x * 2, x * 2, x * 2])
/** Stored as light itself: without the profile it is much too dark. */
const lightRamp = paint(ramp, (x, y) => pixelAt(ramp, x, y).map((value) => 255 * SRGB.fromLight(value / 255)))

function grey(name: string, options: Partial<PngOptions>, reference = ramp): GoldenCase {
  return {
    name,
    group: 'colour',
    original: async () => pngFile(ramp, { colours: 'grey', bits: 8, ...options }),
    spec: 'full',
    format: 'png',
    reference: async () => reference,
    limits: { deltaE: 0.3, shift: 1, maxDeltaE: 3, ssim: 0.995 },
  }
}

export const COLOUR_CASES: readonly GoldenCase[] = [
  ...charts,
  ...photographs,
  {
    name: 'inks in CMYK, by their profile',
    group: 'colour',
    original: async () => inkJpeg(),
    spec: 'full',
    format: 'png',
    reference: async () => inkChart,
    limits: { deltaE: 1, shift: 1, maxDeltaE: 3, ssim: 0.98 },
  },
  grey('grey of 8 bits', {}),
  grey('grey of 16 bits', { bits: 16 }),
  grey('grey by a profile of its own', { profile: greyProfile((value) => value) }, lightRamp),
]
