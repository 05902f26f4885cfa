import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  combineOrientation,
  type Orientation,
  type Turns,
  turnsOnSide,
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
