/** Three numbers: red, green and blue, or X, Y and Z, or L, a and b. */
export type Triple = readonly [number, number, number]
export type Matrix = readonly [Triple, Triple, Triple]

/** What red, green and blue mean: their chromaticities x and y, those of white, and how a stored value gives light. */
export interface RgbSpace {
  readonly red: readonly [number, number]
  readonly green: readonly [number, number]
  readonly blue: readonly [number, number]
  readonly white: readonly [number, number]
  /** Light, 0-1, of a stored value, 0-1; and back. */
  readonly toLight: (value: number) => number
  readonly fromLight: (light: number) => number
}

const D65 = [0.3127, 0.329] as const
/** The white of the connection space of ICC profiles. */
export const D50: Triple = [0.9642, 1, 0.8249]

const srgbCurve = {
  toLight: (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4),
  fromLight: (light: number) => (light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055),
}

const ADOBE_GAMMA = 563 / 256

/** @see https://www.w3.org/TR/css-color-4/#color-conversion-code */
export const SRGB: RgbSpace = { red: [0.64, 0.33], green: [0.3, 0.6], blue: [0.15, 0.06], white: D65, ...srgbCurve }
export const DISPLAY_P3: RgbSpace = { ...SRGB, red: [0.68, 0.32], green: [0.265, 0.69] }
export const ADOBE_RGB: RgbSpace = {
  ...SRGB,
  green: [0.21, 0.71],
  toLight: (value) => value ** ADOBE_GAMMA,
  fromLight: (light) => light ** (1 / ADOBE_GAMMA),
}

/** From light of that space to X, Y and Z under its own white. */
function toXyz(space: RgbSpace): Matrix {
  const [red, green, blue, white] = [space.red, space.green, space.blue, space.white].map(([x, y]) => xyzOf(x, y))
  if (!red || !green || !blue || !white) throw new Error('A space has three primaries and a white')
  const columns = transpose([red, green, blue])
  const strength = multiply(invert(columns), white)
  return transpose([scaled(red, strength[0]), scaled(green, strength[1]), scaled(blue, strength[2])])
}

/** From light of that space to X, Y and Z as an ICC profile has them, adapted to its white by Bradford's transform. */
export function toConnectionSpace(space: RgbSpace): Matrix {
  const from = multiply(BRADFORD, xyzOf(...space.white))
  const to = multiply(BRADFORD, D50)
  const gains: Matrix = [
    [to[0] / from[0], 0, 0],
    [0, to[1] / from[1], 0],
    [0, 0, to[2] / from[2]],
  ]
  const adapt = product(invert(BRADFORD), product(gains, BRADFORD))
  return product(adapt, toXyz(space))
}

/** The stored values, 0-255, that show in one space what the given ones show in another. Not limited to 0-255. */
export function convert(colour: readonly number[], from: RgbSpace, to: RgbSpace): Triple {
  const [red = 0, green = 0, blue = 0] = colour
  const light = map([red, green, blue], (value) => from.toLight(value / 255))
  const shown = multiply(product(invert(toXyz(to)), toXyz(from)), light)
  return map(shown, (value) => 255 * Math.sign(value) * to.fromLight(Math.abs(value)))
}

/** sRGB, 0-255, to CIE L*a*b* under D65. */
export function labOf(colour: readonly number[]): Triple {
  const [red = 0, green = 0, blue = 0] = colour
  const [x, y, z] = multiply(
    SRGB_TO_XYZ,
    map([red, green, blue], (value) => SRGB.toLight(value / 255)),
  )
  const [whiteX, , whiteZ] = xyzOf(...D65)
  const [fx, fy, fz] = map([x / whiteX, y, z / whiteZ], (t) =>
    t > 216 / 24389 ? Math.cbrt(t) : (t * 24389) / 27 / 116 + 16 / 116,
  )
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]
}

/** CIE L*a*b* under D50, as in an ICC profile, to sRGB, 0-255; not limited to it. */
export function srgbOfLab([lightness, a, b]: Triple): Triple {
  const fy = (lightness + 16) / 116
  const back = (f: number) => (f > 6 / 29 ? f ** 3 : (116 * f - 16) * (27 / 24389))
  const xyz: Triple = [D50[0] * back(fy + a / 500), D50[1] * back(fy), D50[2] * back(fy - b / 200)]
  const light = multiply(invert(toConnectionSpace(SRGB)), xyz)
  return map(light, (value) => 255 * Math.sign(value) * SRGB.fromLight(Math.abs(value)))
}

const BRADFORD: Matrix = [
  [0.8951, 0.2664, -0.1614],
  [-0.7502, 1.7135, 0.0367],
  [0.0389, -0.0685, 1.0296],
]
const SRGB_TO_XYZ = toXyz(SRGB)

function xyzOf(x: number, y: number): Triple {
  return [x / y, 1, (1 - x - y) / y]
}

function map([a, b, c]: Triple, change: (value: number) => number): Triple {
  return [change(a), change(b), change(c)]
}

function scaled(triple: Triple, factor: number): Triple {
  return map(triple, (value) => value * factor)
}

function multiply(matrix: Matrix, [a, b, c]: Triple): Triple {
  const [p, q, r] = matrix
  const dot = (row: Triple) => row[0] * a + row[1] * b + row[2] * c
  return [dot(p), dot(q), dot(r)]
}

function transpose([p, q, r]: Matrix): Matrix {
  return [
    [p[0], q[0], r[0]],
    [p[1], q[1], r[1]],
    [p[2], q[2], r[2]],
  ]
}

function product(one: Matrix, other: Matrix): Matrix {
  const [p, q, r] = transpose(other)
  return transpose([multiply(one, p), multiply(one, q), multiply(one, r)])
}

function invert([p, q, r]: Matrix): Matrix {
  const cross = (u: Triple, v: Triple): Triple => [
    u[1] * v[2] - u[2] * v[1],
    u[2] * v[0] - u[0] * v[2],
    u[0] * v[1] - u[1] * v[0],
  ]
  const [qr, rp, pq] = [cross(q, r), cross(r, p), cross(p, q)]
  const determinant = p[0] * qr[0] + p[1] * qr[1] + p[2] * qr[2]
  return transpose([scaled(qr, 1 / determinant), scaled(rp, 1 / determinant), scaled(pq, 1 / determinant)])
}
