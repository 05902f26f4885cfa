import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  avifIsQuickEnough,
  encodingCost,
  isPipelineTime,
  pipelineTime,
  planEncoding,
} from '../../../../src/domain/picture/encoding.ts'
import { OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'

const THUMBNAIL = 160 * 120
const CARD = 400 * 300
const PAGE = 800 * 600
const SCREEN = 1600 * 1200
const SIZES = [THUMBNAIL, CARD, PAGE, SCREEN]

for (const format of ['jpg', 'webp', 'avif'] as const) {
  test(`a quality that is asked for is what ${format} is encoded with, at every size and effort`, () => {
    for (const pixels of SIZES) {
      for (const primed of [false, true]) {
        const encoding = planEncoding(format, { pixels, primed, quality: 33 })
        assert.ok('quality' in encoding)
        assert.equal(encoding.quality, 33)
      }
    }
  })
}

test('what nobody waits for is encoded with more effort than what a viewer waits for', () => {
  for (const pixels of [THUMBNAIL, CARD, PAGE]) {
    assert.ok(effort('webp', pixels, true) > effort('webp', pixels, false))
    assert.ok(effort('avif', pixels, true) > effort('avif', pixels, false))
    const jpeg = { view: planEncoding('jpg', { pixels }), primed: planEncoding('jpg', { pixels, primed: true }) }
    assert.ok(jpeg.view.format === 'jpg' && !jpeg.view.trellis)
    assert.ok(jpeg.primed.format === 'jpg' && jpeg.primed.trellis)
  }
})

test('the larger a primed AVIF, the less effort goes into a pixel', () => {
  const pixels = [...SIZES, 3_000_000, 5_000_000, 20_000_000]
  const efforts = pixels.map((each) => effort('avif', each, true))
  assert.deepEqual(efforts, [6, 4, 3, 3, 2, 1, 0])
})

test('no WebP is encoded at the effort that takes seconds for alpha', () => {
  for (const pixels of [...SIZES, 20_000_000]) assert.ok(effort('webp', pixels, true) < 6)
})

test('a large animation in WebP takes the encoder less time for each pixel than a picture', () => {
  assert.ok(effort('webp', 10_000_000, false) < effort('webp', SCREEN, false))
})

test('PNG, GIF and TIFF lose nothing, whatever quality is asked for', () => {
  for (const format of ['png', 'gif', 'tiff'] as const) {
    assert.deepEqual(planEncoding(format, { pixels: CARD, quality: 10 }), { format })
  }
})

test('encoding costs more CPU the more pixels there are, but for the step to AVIF at its quickest', () => {
  for (const format of OUTPUT_FORMATS) {
    const costs = SIZES.filter((pixels) => format !== 'avif' || pixels >= PAGE).map((each) =>
      encodingCost(format, each),
    )
    assert.deepEqual(
      costs,
      costs.toSorted((a, b) => a - b),
    )
    assert.ok(costs.every((cost) => cost > 0))
  }
})

test('AVIF is quick enough for a viewer where it is encoded at its quickest, and not where it is small', () => {
  assert.deepEqual(SIZES.map(avifIsQuickEnough), [false, false, true, true])
})

test('whatever is called quick enough takes at most half as long again as WebP', () => {
  for (let pixels = 1; pixels < 50_000_000; pixels = Math.ceil(pixels * 1.1)) {
    const ratio = encodingCost('avif', pixels) / encodingCost('webp', pixels)
    assert.equal(avifIsQuickEnough(pixels), ratio <= 1.5)
  }
})

function effort(format: 'webp' | 'avif', pixels: number, primed: boolean): number {
  const encoding = planEncoding(format, { pixels, primed })
  assert.ok('effort' in encoding)
  return encoding.effort
}

test('every pipeline has a time, the second after it counts too, and no time outside 2020-2024 does', () => {
  for (const hash of [0, 1, 126_143_999, 126_144_000, 2 ** 32 - 1]) {
    const time = pipelineTime(hash)
    assert.ok(isPipelineTime(time) && isPipelineTime(time + 1), `${time}`)
  }
  for (const text of ['1970-01-01', '2019-12-31', '2024-01-02', '2026-06-01']) {
    assert.ok(!isPipelineTime(Date.parse(text) / 1000), text)
  }
})
