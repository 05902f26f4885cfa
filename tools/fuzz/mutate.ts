import { crc32 } from 'node:zlib'
import { fileParts } from './file-parts.ts'

/** Draws whole numbers from 0 to 2^32 - 1, as `createRandom` makes them. */
export type Random = () => number

/** A file made of a sound one. */
export interface Mutant {
  readonly bytes: Buffer
  /** What was done, in order. */
  readonly how: readonly string[]
}

/** Most files are spoilt in one place: what is wrong everywhere is refused by the first look. */
const STEPS = [1, 1, 1, 1, 2, 2, 3, 4] as const
/** Where the headers are, in which a wrong byte does most. */
const HEAD_BYTES = 400
/** What sizes, counts and offsets are set to. */
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffdc, 0xffff, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
const LENGTHS = [1, 2, 4] as const
const REPEATS = [3, 30, 600, 2000] as const
/** Repeating makes no larger file. */
const REPEATED_BYTES = 1_000_000
const NUMBERS = ['0', '-1', '1e9', '1e99', '99999', '0.00001', 'NaN', '100%', '1e5em'] as const
const MAGICS = [
  '\xff\xd8\xff\xe0',
  '\x89PNG\r\n\x1a\n',
  'GIF89a',
  'RIFF\0\0\0\0WEBP',
  'II*\0',
  '\0\0\0\x18ftypavif',
  '\0\0\0\x18ftypheic',
  '<svg ',
] as const

/**
 * Spoils a file in one to four ways: the same draws give the same mutant.
 *
 * @param others Files to take parts from.
 */
export function mutate(bytes: Buffer, others: readonly Buffer[], random: Random): Mutant {
  const how: string[] = []
  let made = Buffer.from(bytes)
  for (let left = pick(STEPS, random); left > 0 && made.length > 0; left -= 1) {
    const [name, change] = pick(CHANGES, random)
    made = change(made, random, others)
    how.push(name)
  }
  // A wrong checksum keeps a PNG's decoder from looking any further.
  if (random() % 4 !== 0) repairChecksums(made)
  return { bytes: made, how }
}

export function pick<T>(from: readonly T[], random: Random): T {
  const picked = from[random() % from.length]
  if (picked === undefined) throw new RangeError('There is nothing to pick from')
  return picked
}

type Change = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer<ArrayBuffer>

const CHANGES: readonly (readonly [string, Change])[] = [
  ['bits flipped', flipBits],
  ['bytes replaced', replaceRun],
  ['cut', (bytes, random) => Buffer.from(bytes.subarray(0, random() % bytes.length))],
  ['bytes inserted', insertRun],
  ['bytes removed', removeRun],
  ['number made extreme', makeExtreme],
  ['number made extreme', makeExtreme],
  ['part removed', changeParts((parts, at) => parts.toSpliced(at, 1))],
  ['part repeated', changeParts(repeatPart)],
  ['parts swapped', changeParts(swapParts)],
  ['part spoilt', changeParts((parts, at, random) => parts.with(at, makeExtreme(partAt(parts, at), random)))],
  ['part of another file', takePart],
  ['spliced', splice],
  ['another type claimed', claimType],
  ['digits changed', changeDigits],
]

function flipBits(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const made = Buffer.from(bytes)
  for (let left = 1 + (random() % 16); left > 0; left -= 1) {
    const at = place(made, random)
    made[at] = (made[at] ?? 0) ^ (1 << (random() % 8))
  }
  return made
}

function replaceRun(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const made = Buffer.from(bytes)
  const at = place(made, random)
  const length = 1 + (random() % 64)
  const kind = random() % 3
  for (let index = at; index < Math.min(made.length, at + length); index += 1)
    made[index] = kind === 0 ? 0 : kind === 1 ? 0xff : random() >>> 24
  return made
}

function insertRun(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const at = place(bytes, random)
  const run = Buffer.alloc(1 + (random() % 300), random() >>> 24)
  return Buffer.concat([bytes.subarray(0, at), run, bytes.subarray(at)])
}

function removeRun(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const at = place(bytes, random)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (random() % 300))])
}

function makeExtreme(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const made = Buffer.from(bytes)
  const length = pick(LENGTHS, random)
  const value = pick(EXTREMES, random) % 2 ** (8 * length)
  const at = place(made, random)
  if (at + length > made.length) return made
  if (random() % 2 === 0) made.writeUIntBE(value, at, length)
  else made.writeUIntLE(value, at, length)
  return made
}

function changeParts(
  change: (parts: readonly Buffer[], at: number, random: Random) => readonly Buffer[],
): (bytes: Buffer, random: Random) => Buffer<ArrayBuffer> {
  return (bytes, random) => {
    const parts = fileParts(bytes)
    return Buffer.concat(change(parts, random() % parts.length, random))
  }
}

function repeatPart(parts: readonly Buffer[], at: number, random: Random): readonly Buffer[] {
  const part = partAt(parts, at)
  const times = Math.min(pick(REPEATS, random), Math.floor(REPEATED_BYTES / Math.max(1, part.length)))
  return parts.toSpliced(at, 0, ...Array.from({ length: times }, () => part))
}

function swapParts(parts: readonly Buffer[], at: number, random: Random): readonly Buffer[] {
  const other = random() % parts.length
  return parts.with(at, partAt(parts, other)).with(other, partAt(parts, at))
}

function partAt(parts: readonly Buffer[], at: number): Buffer {
  return parts[at] ?? Buffer.alloc(0)
}

function takePart(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer<ArrayBuffer> {
  const part = pick(fileParts(pick(others, random)), random)
  return changeParts((parts, at) => parts.toSpliced(at, 0, part))(bytes, random)
}

function splice(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer<ArrayBuffer> {
  const other = pick(others, random)
  return Buffer.concat([bytes.subarray(0, random() % bytes.length), other.subarray(random() % other.length)])
}

function claimType(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const magic = Buffer.from(pick(MAGICS, random), 'latin1')
  return Buffer.concat([magic, bytes.subarray(random() % 2 === 0 ? magic.length : 0)])
}

/** A number of a text, as in an SVG. */
function changeDigits(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const text = bytes.toString('latin1')
  const numbers = text.includes('<svg') ? [...text.matchAll(/\d+(?:\.\d+)?/g)] : []
  if (numbers.length === 0) return flipBits(bytes, random)
  const { index, 0: digits } = pick(numbers, random)
  return Buffer.from(text.slice(0, index) + pick(NUMBERS, random) + text.slice(index + digits.length), 'latin1')
}

function place(bytes: Buffer, random: Random): number {
  return random() % Math.max(1, random() % 2 === 0 ? Math.min(HEAD_BYTES, bytes.length) : bytes.length)
}

function repairChecksums(bytes: Buffer): void {
  if (bytes.toString('latin1', 0, 4) !== '\x89PNG') return
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at)
    if (end + 4 > bytes.length) return
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), end)
    at = end + 4
  }
}
