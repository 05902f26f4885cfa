import { RequestError } from '../../errors.ts'
import { CHOSEN_FORMATS, OUTPUT_FORMATS } from '../spec/image-format.ts'
import { defaultFit, formatSpec, parseSpec, type Spec, type SpecSize } from '../spec/spec.ts'
import { formatOptions } from '../spec/spec-option.ts'

/** The ladder of `SIZE_POLICY=steps`, prepared by `createSizeSteps`. */
export interface SizeSteps {
  /** Widths and heights, ascending, at least one. CSS pixels. */
  readonly sides: readonly number[]
  /** Maximum width and height of a rendition, device pixels. */
  readonly maxSide: number
  /** An example of each allowed combination of a kind of size and its options, by combination. */
  readonly combinations: ReadonlyMap<string, Spec>
  /** Height to width of crops, ascending. */
  readonly proportions: readonly number[]
}

/**
 * The steps by default: those of the `srcset` that an open policy offers, and smaller ones for icons. Most are 1.25 to 1.5 times the
 * one before, so that a rendition is about 1.2 times as wide as requested on average.
 */
export const DEFAULT_STEPS = '40 80 160 240 320 480 640 800 1024 1280 1600 2048 2560 3840'

/** One of each kind that is allowed without an entry in `SIZES`. */
const USUAL = ['full', '400w', '300h', '100s', '400w300h', '400w300h,cover'].map(parseSpec)

/** Width to height of crops, and the inverses. A crop of another shape gets the nearest, at most 9 % off up to 7:3. */
const SHAPES = [
  [1, 1],
  [7, 6],
  [5, 4],
  [4, 3],
  [3, 2],
  [5, 3],
  [16, 9],
  [2, 1],
  [7, 3],
  [3, 1],
  [4, 1],
] as const

/** Most examples in a message. */
const MOST_NAMED = 16

/**
 * @param sides `SIZE_STEPS`, in any order, at least one. Those above the limit are not used.
 * @param sizes `SIZES`. Each allows its options with every size of its kind; a crop also adds its proportion.
 */
export function createSizeSteps({
  sides,
  sizes,
  maxSide,
}: Pick<SizeSteps, 'sides' | 'maxSide'> & { readonly sizes: readonly Spec[] }): SizeSteps {
  const boxes = sizes.flatMap(({ size }) => wholeBox(size) ?? [])
  const proportions = [
    ...SHAPES.flatMap(([long, short]) => [short / long, long / short]),
    ...boxes.map(({ width, height }) => height / width),
  ]
  return {
    sides: withSmallest(
      [...new Set(sides)].toSorted((a, b) => a - b),
      (side) => side <= maxSide,
    ),
    maxSide,
    combinations: new Map([...USUAL, ...sizes].map((spec) => [combinationOf(spec), spec])),
    proportions: [...new Set(proportions)].toSorted((a, b) => a - b),
  }
}

/**
 * The spec that is served for a requested one. Idempotent.
 *
 * - `<w>w`, `<h>h`, `<n>s`: the side is the next step, or the largest one.
 * - `<w>w<h>h` and fits that keep the shape of the original (inside, outside): each side is the next step.
 * - `<w>w<h>h` and fits that give the picture the shape of the box (cover, contain, fill): the width is a step, the height is in
 *   proportion, and neither side is smaller than requested up to the largest step. The proportion is that of the request if it is
 *   usual or listed, within a pixel, else the nearest one.
 *
 * @throws RequestError `size_not_allowed` if no entry of SIZES has these options.
 */
export function stepSpec(spec: Spec, steps: SizeSteps): Spec {
  assertCombination(spec, steps)
  const { size } = spec
  if (size.kind === 'full') return spec
  const sides = sidesFor(spec, steps)
  if (size.kind === 'square') return { ...spec, size: { kind: 'square', side: stepOf(size.side, sides) } }
  const box = wholeBox(size)
  if (box && hasShapeOfBox(spec)) return { ...spec, size: { kind: 'box', ...cropStep(box, spec, steps) } }
  const { width, height } = size
  return {
    ...spec,
    size: {
      kind: 'box',
      ...(width !== undefined && { width: stepOf(width, sides) }),
      ...(height !== undefined && { height: stepOf(height, sides) }),
    },
  }
}

/** Most files that one picture can have in the cache of a node: each spec in each format, and by each choice of a format. */
export function maxFilesPerPicture(steps: SizeSteps): number {
  const tiffOfRethumb = 1
  const namesPerSpec = OUTPUT_FORMATS.length + tiffOfRethumb + Object.keys(CHOSEN_FORMATS).length
  return countSpecs(steps) * namesPerSpec
}

/** Most specs of one picture that are served. */
export function countSpecs(steps: SizeSteps): number {
  const counts = [...steps.combinations.values()].map((spec) => countOf(spec, steps))
  return counts.reduce((sum, count) => sum + count, 0)
}

function countOf(spec: Spec, steps: SizeSteps): number {
  if (spec.size.kind === 'full') return 1
  const sides = sidesFor(spec, steps)
  if (wholeBox(spec.size) === undefined) return sides.length
  if (!hasShapeOfBox(spec)) return sides.length ** 2
  const crops = steps.proportions.flatMap((proportion) => cropsOf(proportion, spec, steps))
  return new Set(crops.map(({ width, height }) => `${width}x${height}`)).size
}

/** Whether the kind of size and the options are allowed together. */
export function isAllowedCombination(spec: Spec, { combinations }: SizeSteps): boolean {
  return combinations.has(combinationOf(spec))
}

/** @throws RequestError `size_not_allowed` with the allowed combinations. */
export function assertCombination(spec: Spec, steps: SizeSteps): void {
  if (isAllowedCombination(spec, steps)) return
  const { combinations } = steps
  const allowed = [...combinations.values()].map(formatSpec)
  const named = allowed.slice(0, MOST_NAMED).join(', ')
  const more = allowed.length > MOST_NAMED ? ', …' : ''
  throw new RequestError(
    'size_not_allowed',
    `"${formatSpec(spec)}" is not an allowed combination: write ${named}${more}, each in any size (SIZES)`,
  )
}

/** The sides that a size has, and its options: `w,q80`, `wh,cover`, `s`. */
function combinationOf(spec: Spec): string {
  return [kindOf(spec.size), ...formatOptions(spec)].join(',')
}

function kindOf(size: SpecSize): string {
  if (size.kind === 'full') return 'full'
  if (size.kind === 'square') return 's'
  return `${size.width === undefined ? '' : 'w'}${size.height === undefined ? '' : 'h'}`
}

interface Box {
  readonly width: number
  readonly height: number
}

function wholeBox(size: SpecSize): Box | undefined {
  if (size.kind !== 'box' || size.width === undefined || size.height === undefined) return undefined
  return { width: size.width, height: size.height }
}

function hasShapeOfBox({ fit, size }: Spec): boolean {
  const actual = fit ?? defaultFit(size)
  return actual !== 'inside' && actual !== 'outside'
}

/** Steps whose device pixels are within the limit. */
function sidesFor(spec: Spec, { sides, maxSide }: SizeSteps): readonly number[] {
  return withSmallest(sides, (side) => isWithin({ width: side, height: side }, spec, maxSide))
}

function stepOf(side: number, sides: readonly number[]): number {
  return sides.find((step) => step >= side) ?? sides.at(-1) ?? side
}

/** The crops of a proportion, ascending. */
function cropsOf(proportion: number, spec: Spec, { sides, maxSide }: SizeSteps): readonly Box[] {
  const crops = sides.map((width) => ({ width, height: Math.max(1, Math.round(width * proportion)) }))
  return withSmallest(crops, (crop) => isWithin(crop, spec, maxSide))
}

function isWithin({ width, height }: Box, { dpr = 1 }: Spec, maxSide: number): boolean {
  return Math.round(Math.max(width, height) * dpr) <= maxSide
}

/** The steps within a limit; if none is, the smallest, which is refused for its size. */
function withSmallest<T>(ascending: readonly T[], isAllowed: (step: T) => boolean): readonly T[] {
  const allowed = ascending.filter(isAllowed)
  return allowed.length > 0 ? allowed : ascending.slice(0, 1)
}

function cropStep(asked: Box, spec: Spec, steps: SizeSteps): Box {
  const crops = cropsOf(proportionFor(asked, steps), spec, steps)
  return crops.find(({ width, height }) => width >= asked.width && height >= asked.height) ?? crops.at(-1) ?? asked
}

/**
 * The proportion with the nearest height at this width. So the crop of a small step has its own proportion in spite of the rounding, and
 * `stepSpec` is idempotent.
 */
function proportionFor({ width, height }: Box, { proportions }: SizeSteps): number {
  const distance = (proportion: number) => Math.abs(height - width * proportion)
  return proportions.reduce((best, proportion) => (distance(proportion) < distance(best) ? proportion : best))
}
