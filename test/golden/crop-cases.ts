import { paint, type Raster } from '../../tools/pictures/raster.ts'
import type { GoldenCase } from './golden-case.ts'
import { pngFile } from './png-file.ts'

const SIZE = { width: 96, height: 64 }

/** Each pixel says where it is: its column in red, its row in green. */
const map = paint(SIZE, (x, y) => [2 * x, 3 * y, (x + y) % 2 === 0 ? 0 : 64])
const mapFile = async () => pngFile(map, { colours: 'rgb', bits: 8 })

interface Cut {
  readonly spec: string
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

// By hand: a box of the picture's own height or width leaves its pixels as they are, so that each can be told.
const CUTS: readonly Cut[] = [
  { spec: '64s', left: 16, top: 0, width: 64, height: 64 },
  { spec: '64s,left', left: 0, top: 0, width: 64, height: 64 },
  { spec: '64s,bottomright', left: 32, top: 0, width: 64, height: 64 },
  { spec: '64s,at50x50', left: 16, top: 0, width: 64, height: 64 },
  { spec: '64s,at40x10', left: 6, top: 0, width: 64, height: 64 },
  { spec: '64s,at0x0', left: 0, top: 0, width: 64, height: 64 },
  { spec: '64s,at100x100', left: 32, top: 0, width: 64, height: 64 },
  { spec: '24w64h,cover,at75x50', left: 60, top: 0, width: 24, height: 64 },
  { spec: '24w64h,cover,at12.5x50', left: 0, top: 0, width: 24, height: 64 },
  { spec: '96w10h,cover,at50x62.5', left: 0, top: 35, width: 96, height: 10 },
  { spec: '96w10h,cover,top', left: 0, top: 0, width: 96, height: 10 },
  { spec: '96w11h,cover', left: 0, top: 27, width: 96, height: 11 },
]

function cut({ left, top, ...size }: Cut): Raster {
  return paint(size, (x, y) => [2 * (left + x), 3 * (top + y), (left + x + top + y) % 2 === 0 ? 0 : 64])
}

export const CROP_CASES: readonly GoldenCase[] = CUTS.map((place) => ({
  name: `the part that "${place.spec}" names`,
  group: 'crops',
  original: mapFile,
  spec: place.spec,
  format: 'png',
  reference: async () => cut(place),
  limits: { deltaE: 0, maxDeltaE: 0, shift: 0, ssim: 0.9999 },
}))
