/** @see https://evanw.github.io/thumbhash/ @param text Base64. @returns RGBA pixels. */
export function decodeThumbHash(text) {
  const hash = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const header = hash[0] | (hash[1] << 8) | (hash[2] << 16)
  const tail = hash[3] | (hash[4] << 8)
  const hasAlpha = header >> 23 === 1
  const isLandscape = tail >> 15 === 1
  const long = hasAlpha ? 5 : 7
  const short = Math.max(3, tail & 7)
  const [lx, ly] = isLandscape ? [long, short] : [short, long]
  let nibble = hasAlpha ? 12 : 10
  const channel = (nx, ny, scale) => {
    const factors = []
    for (let cy = 0; cy < ny; cy += 1) {
      for (let cx = cy > 0 ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        const value = (hash[nibble >> 1] >> ((nibble & 1) << 2)) & 15
        nibble += 1
        factors.push({ cx, cy, value: (value / 7.5 - 1) * scale })
      }
    }
    return factors
  }
  const light = { base: (header & 63) / 63, factors: channel(lx, ly, ((header >> 18) & 31) / 31) }
  const blue = { base: ((header >> 6) & 63) / 31.5 - 1, factors: channel(3, 3, (((tail >> 3) & 63) / 63) * 1.25) }
  const red = { base: ((header >> 12) & 63) / 31.5 - 1, factors: channel(3, 3, (((tail >> 9) & 63) / 63) * 1.25) }
  const alpha = hasAlpha ? { base: (hash[5] & 15) / 15, factors: channel(5, 5, (hash[5] >> 4) / 15) } : undefined
  // The shape is known as a ratio of the numbers of components.
  const shape = isLandscape ? long / (tail & 7) : (tail & 7) / long
  const width = Math.round(shape > 1 ? 32 : 32 * shape)
  const height = Math.round(shape > 1 ? 32 / shape : 32)
  const at = ({ base, factors }, x, y) => {
    const cosines = ({ cx, cy, value }) =>
      value * 2 * Math.cos((Math.PI / width) * (x + 0.5) * cx) * Math.cos((Math.PI / height) * (y + 0.5) * cy)
    return factors.reduce((sum, factor) => sum + cosines(factor), base)
  }
  return paint(width, height, (x, y) => {
    const l = at(light, x, y)
    const p = at(blue, x, y)
    const q = at(red, x, y)
    const b = l - (2 / 3) * p
    const r = (3 * l - b + q) / 2
    return [r, r - q, b, alpha ? at(alpha, x, y) : 1].map((value) => Math.max(0, Math.min(1, value)) * 255)
  })
}

const BASE_83 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~'

/** @see https://github.com/woltapp/blurhash @param text Base83. @returns RGBA pixels. */
export function decodeBlurHash(text, width, height) {
  const read = (from, to) =>
    text
      .slice(from, to)
      .split('')
      .reduce((sum, digit) => sum * 83 + BASE_83.indexOf(digit), 0)
  const counts = read(0, 1)
  const nx = (counts % 9) + 1
  const ny = Math.floor(counts / 9) + 1
  const strongest = (read(1, 2) + 1) / 166
  const average = read(2, 6)
  const colours = [[average >> 16, (average >> 8) & 255, average & 255].map(toLinear)]
  for (let index = 1; index < nx * ny; index += 1) {
    const value = read(4 + index * 2, 6 + index * 2)
    const parts = [Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19]
    colours.push(parts.map((part) => Math.sign(part - 9) * ((part - 9) / 9) ** 2 * strongest))
  }
  return paint(width, height, (x, y) => {
    const linear = [0, 0, 0]
    for (const [index, colour] of colours.entries()) {
      const cosine = Math.cos((Math.PI * x * (index % nx)) / width)
      const weight = cosine * Math.cos((Math.PI * y * Math.floor(index / nx)) / height)
      for (const part of [0, 1, 2]) linear[part] += colour[part] * weight
    }
    return [...linear.map(toSrgb), 255]
  })
}

function toLinear(value) {
  const share = value / 255
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
}

function toSrgb(value) {
  const share = Math.max(0, Math.min(1, value))
  return Math.trunc((share <= 0.0031308 ? share * 12.92 : 1.055 * share ** (1 / 2.4) - 0.055) * 255 + 0.5)
}

function paint(width, height, colourAt) {
  const rgba = new Uint8ClampedArray(width * height * 4)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rgba.set(colourAt(x, y), (y * width + x) * 4)
  }
  return { width, height, rgba }
}
