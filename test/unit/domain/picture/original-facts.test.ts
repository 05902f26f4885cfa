import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  brokenOriginal,
  combineOrientation,
  type Orientation,
  type Turns,
  tooManyBytes,
  tooManyFrames,
  tooManyPixels,
  turnsOnSide,
  unsupportedOriginal,
} from '../../../../src/domain/picture/original-facts.ts'

type Grid = readonly (readonly string[])[]

// Four corners that all differ, and a shape whose sides differ.
const UPRIGHT: Grid = [
  ['a', 'b', 'c'],
  ['d', 'e', 'f'],
]

const flop = (grid: Grid): Grid => grid.map((row) => row.toReversed())
const flip = (grid: Grid): Grid => grid.toReversed()
const transpose = (grid: Grid): Grid => (grid[0] ?? []).map((_, x) => grid.map((row) => row[x] ?? ''))
const clockwise = (grid: Grid): Grid => flop(transpose(grid))
const turn = (grid: Grid, angle: number): Grid => (angle === 0 ? grid : turn(clockwise(grid), angle - 90))

/** The upright picture as a camera stores it: where the first row and column of the stored picture are to be seen. */
const STORED: Readonly<Record<number, Grid>> = {
  1: UPRIGHT,
  // Row 0 is the top, column 0 the right.
  2: flop(UPRIGHT),
  // Bottom, right.
  3: flip(flop(UPRIGHT)),
  // Bottom, left.
  4: flip(UPRIGHT),
  // Left, top.
  5: transpose(UPRIGHT),
  // Right, top.
  6: flip(transpose(UPRIGHT)),
  // Right, bottom.
  7: flip(flop(transpose(UPRIGHT))),
  // Left, bottom.
  8: flop(transpose(UPRIGHT)),
}

function apply(grid: Grid, orientation: Orientation): Grid {
  return turn(orientation.flop ? flop(grid) : grid, orientation.angle)
}

const MIRRORS: readonly Turns[] = [{}, { flip: true }, { flop: true }, { flip: true, flop: true }]
const TURNS = MIRRORS.flatMap((mirrors): Turns[] => [
  mirrors,
  { rotate: 90, ...mirrors },
  { rotate: 180, ...mirrors },
  { rotate: 270, ...mirrors },
])

for (const [exif, stored] of Object.entries(STORED)) {
  test(`A picture of EXIF orientation ${exif} is upright first, then turned, then flipped, then flopped`, () => {
    for (const turns of TURNS) {
      let expected = turn(UPRIGHT, turns.rotate ?? 0)
      if (turns.flip) expected = flip(expected)
      if (turns.flop) expected = flop(expected)
      const orientation = combineOrientation(Number(exif), turns)
      assert.deepEqual(apply(stored, orientation), expected, JSON.stringify(turns))
      assert.equal(turnsOnSide(orientation), stored.length !== expected.length)
    }
  })
}

const MIB = 2 ** 20
const MESSAGES = {
  'The original has 70.2 MiB; the limit is 64 MiB (MAX_UPLOAD_BYTES)': tooManyBytes(64 * MIB, 70.2 * MIB),
  'The original has 67108865 bytes; the limit is 67108864 bytes (MAX_UPLOAD_BYTES)': tooManyBytes(
    64 * MIB,
    64 * MIB + 1,
  ),
  'The original has more than 64 MiB, the limit (MAX_UPLOAD_BYTES)': tooManyBytes(64 * MIB),
  'The original has 120.5 MP; the limit is 100 MP (MAX_PIXELS)': tooManyPixels(100e6, 120.5e6, 1),
  'The original has 144 MP over all frames; the limit is 100 MP (MAX_PIXELS)': tooManyPixels(1e8, 144e6, 12),
  'The original has 100000001 pixels; the limit is 100000000 pixels (MAX_PIXELS)': tooManyPixels(1e8, 1e8 + 1, 1),
  'The original has 2 MP; the limit is 900 pixels (MAX_PIXELS)': tooManyPixels(900, 2e6, 1),
  'The original has 600 frames; the limit is 500 (MAX_FRAMES)': tooManyFrames(500, 600),
  'This PNG cannot be decoded: it is damaged or incomplete': brokenOriginal('png', undefined),
  'This image cannot be decoded: it is damaged or incomplete': brokenOriginal(undefined, undefined),
} as const
for (const [text, { message }] of Object.entries(MESSAGES)) {
  test(`A refusal says: ${text}`, () => assert.equal(message, text))
}

const UNSUPPORTED = [
  ['notes', undefined, 'This is not an image in a supported format: jpeg, png'],
  ['<!DOCTYPE html><html>', undefined, 'This is an HTML page, not an image in a supported format: jpeg, png'],
  ['%PDF-1.7', undefined, 'This is a PDF document, not an image in a supported format: jpeg, png'],
  ['{ "image": "…" }', undefined, 'This is JSON, not an image in a supported format: jpeg, png'],
  ['data:image/jpeg;base64,/9j/2w', undefined, 'This is Base64 text: send the decoded bytes of the image'],
  ['/9j/4AAQSkZJRgABAQEASABIAAD', undefined, 'This is Base64 text: send the decoded bytes of the image'],
  ['<svg xmlns=', 'svg', 'SVG is not enabled on this node (INPUT_FORMATS): send jpeg, png'],
  ['\0\0\0\x18ftypheic', 'heif', 'HEIC is not supported: send the image as JPEG or AVIF'],
] as const
for (const [head, format, message] of UNSUPPORTED) {
  test(`A file that begins with ${JSON.stringify(head)} is refused: ${message}`, () => {
    const error = unsupportedOriginal(format, ['jpeg', 'png'], Buffer.from(head))
    assert.deepEqual([error.code, error.message], ['original_unsupported', message])
  })
}
