import { formatSpec, parseSpec, type Spec, type SpecSize } from '../spec/spec.ts'
import { type Fit, GRAVITIES, type Gravity, type Position } from '../spec/spec-option.ts'

/** The options in a URL of another service, including those without effect. */
export interface Wish {
  /** CSS pixels; undefined or 0: absent. */
  readonly width?: number | undefined
  readonly height?: number | undefined
  /** Applies if both sides are given. */
  readonly fit: Fit
  readonly position?: Position | undefined
  readonly dpr?: number | undefined
  readonly quality?: number | undefined
  readonly up?: boolean | undefined
  /** `rrggbb`. */
  readonly background?: string | undefined
  /** Degrees clockwise, before `flip`, `flop` and the box; a whole number of quarter turns. */
  readonly rotate?: number | undefined
  readonly flip?: boolean | undefined
  readonly flop?: boolean | undefined
  readonly gray?: boolean | undefined
  readonly blur?: number | undefined
  readonly sharpen?: boolean | undefined
  readonly still?: boolean | undefined
}

/**
 * The canonical spec of a wish. Options without effect are dropped, as other services accept them and `parseSpec` does
 * not. A square crop becomes an `s`, so that it shares its rendition with native URLs.
 *
 * @throws RequestError `invalid_path` for numbers out of range.
 */
export function settleSpec(wish: Wish): Spec {
  const size = settleSize(wish)
  const both = size.kind === 'square' || (size.kind === 'box' && size.width !== undefined && size.height !== undefined)
  const boxed = size.kind !== 'full'
  const { fit, dpr, quality, background, blur } = wish
  const position = both ? settlePosition(fit, wish.position) : undefined
  const rotate = wish.rotate === 90 || wish.rotate === 180 || wish.rotate === 270 ? wish.rotate : undefined
  const spec: Spec = {
    size,
    ...(both && { fit }),
    ...(position !== undefined && { position }),
    ...(boxed && dpr !== undefined && { dpr: Math.round(dpr * 100) / 100 }),
    ...(quality !== undefined && { quality }),
    ...(boxed && wish.up && { up: true }),
    ...(background !== undefined && { background: background.toLowerCase() }),
    ...(rotate !== undefined && { rotate }),
    ...(wish.flip && { flip: true }),
    ...(wish.flop && { flop: true }),
    ...(wish.gray && { gray: true }),
    ...(blur !== undefined && { blur }),
    ...(wish.sharpen && { sharpen: true }),
    ...(wish.still && { still: true }),
  }
  return parseSpec(formatSpec(spec))
}

/** The wish with the finished picture rotated clockwise, by a multiple of 90 degrees. */
export function turnedAfter(wish: Wish, degrees: number): Wish {
  const turns = (((degrees / 90) % 4) + 4) % 4
  let turned = wish
  for (let turn = 0; turn < turns; turn += 1) turned = quarterTurnedAfter(turned)
  return turned
}

/** The wish with the finished picture mirrored: the crop keeps its place in the picture. */
export function mirroredAfter(wish: Wish, mirror: { readonly flip: boolean; readonly flop: boolean }): Wish {
  const { position } = wish
  return {
    ...wish,
    flip: mirror.flip !== (wish.flip ?? false),
    flop: mirror.flop !== (wish.flop ?? false),
    position: moved(position, ({ x, y }) => ({ x: mirror.flop ? 100 - x : x, y: mirror.flip ? 100 - y : y })),
  }
}

/** A spec rotates before it mirrors: a mirroring before a quarter turn has the other axis after it. */
function quarterTurnedAfter(wish: Wish): Wish {
  return {
    ...wish,
    width: wish.height,
    height: wish.width,
    rotate: ((wish.rotate ?? 0) + 90) % 360,
    flip: wish.flop,
    flop: wish.flip,
    position: moved(wish.position, ({ x, y }) => ({ x: 100 - y, y: x })),
  }
}

interface Point {
  readonly x: number
  readonly y: number
}

const GRAVITY_POINTS = {
  center: { x: 50, y: 50 },
  top: { x: 50, y: 0 },
  topright: { x: 100, y: 0 },
  right: { x: 100, y: 50 },
  bottomright: { x: 100, y: 100 },
  bottom: { x: 50, y: 100 },
  bottomleft: { x: 0, y: 100 },
  left: { x: 0, y: 50 },
  topleft: { x: 0, y: 0 },
} as const satisfies Record<Gravity, Point>

function moved(position: Position | undefined, move: (point: Point) => Point): Position | undefined {
  if (position === undefined || position === 'smart' || position === 'entropy') return position
  if (typeof position === 'object') {
    const { x, y } = move(position)
    return { x: Math.round(x * 100) / 100, y: Math.round(y * 100) / 100 }
  }
  const { x, y } = move(GRAVITY_POINTS[position])
  return GRAVITIES.find((name) => GRAVITY_POINTS[name].x === x && GRAVITY_POINTS[name].y === y)
}

function settleSize({ width = 0, height = 0, fit }: Wish): SpecSize {
  if (width === 0 && height === 0) return { kind: 'full' }
  if (width === height && fit === 'cover') return { kind: 'square', side: width }
  return { kind: 'box', ...(width !== 0 && { width }), ...(height !== 0 && { height }) }
}

function settlePosition(fit: Fit, position: Position | undefined): Position | undefined {
  if (fit === 'cover') return position
  return fit === 'contain' && GRAVITIES.some((gravity) => gravity === position) ? position : undefined
}
