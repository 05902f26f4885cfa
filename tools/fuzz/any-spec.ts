import fc from 'fast-check'
import type { Spec, SpecSize } from '../../src/domain/spec/spec.ts'
import { GRAVITIES, type Position, type SpecOptions } from '../../src/domain/spec/spec-option.ts'

/** Every spec that `parseSpec` can give: canonical, and with no option that could have no effect. */
export function anySpec(maxSide = 999_999): fc.Arbitrary<Spec> {
  const side = fc.oneof(fc.integer({ min: 1, max: Math.min(50, maxSide) }), fc.integer({ min: 1, max: maxSide }))
  const full = fc.constant<SpecSize>({ kind: 'full' })
  const oneSided = fc.oneof(
    side.map((width): SpecSize => ({ kind: 'box', width })),
    side.map((height): SpecSize => ({ kind: 'box', height })),
  )
  const twoSided = fc.oneof(
    fc.record({ width: side, height: side }).map(({ width, height }): SpecSize => ({ kind: 'box', width, height })),
    side.map((length): SpecSize => ({ kind: 'square', side: length })),
  )
  return fc.oneof(
    spec(full, fc.constant({}), false),
    spec(oneSided, fc.constant({}), true),
    twoSided.chain((size) => spec(fc.constant(size), anyFit(size), true)),
  )
}

function spec(size: fc.Arbitrary<SpecSize>, fit: fc.Arbitrary<SpecOptions>, hasBox: boolean): fc.Arbitrary<Spec> {
  const boxed = hasBox ? { dpr: hundredths(50, 400).filter((dpr) => dpr !== 1), up: fc.constant<true>(true) } : {}
  const options = fc.record<SpecOptions, never>(
    {
      ...boxed,
      quality: fc.integer({ min: 1, max: 100 }),
      background: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 6, maxLength: 6 }),
      rotate: fc.constantFrom(90, 180, 270),
      flip: fc.constant(true),
      flop: fc.constant(true),
      gray: fc.constant(true),
      blur: hundredths(60, 5000),
      sharpen: fc.constant(true),
      still: fc.constant(true),
    },
    { requiredKeys: [] },
  )
  return fc.tuple(size, fit, options).map(([ofSize, ofFit, others]) => ({ size: ofSize, ...ofFit, ...others }))
}

function anyFit(size: SpecSize): fc.Arbitrary<SpecOptions> {
  const square = size.kind === 'square'
  const gravity = fc.constantFrom(...GRAVITIES.filter((name) => name !== 'center'))
  const percent = hundredths(0, 10_000)
  const focus = fc.tuple(percent, percent).map(([x, y]) => ({ x, y }))
  const cropping = fc.oneof<fc.Arbitrary<Position>[]>(gravity, fc.constantFrom('smart', 'entropy'), focus)
  return fc.oneof<fc.Arbitrary<SpecOptions>[]>(
    fc.constant({}),
    fc.constantFrom<SpecOptions[]>(square ? { fit: 'inside' } : { fit: 'cover' }, { fit: 'fill' }, { fit: 'outside' }),
    fc.constant({ fit: 'contain' }),
    gravity.map((position): SpecOptions => ({ fit: 'contain', position })),
    cropping.map((position): SpecOptions => (square ? { position } : { fit: 'cover', position })),
  )
}

/** Numbers of at most two decimal places. */
function hundredths(min: number, max: number): fc.Arbitrary<number> {
  return fc.integer({ min, max }).map((value) => value / 100)
}
