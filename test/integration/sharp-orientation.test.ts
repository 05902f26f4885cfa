import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { createSharpEngine } from '../../src/adapters/sharp/sharp-engine.ts'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { renderOne } from '../support/render.ts'

const LIMITS = {
  inputFormats: ['jpeg', 'png', 'webp', 'avif', 'gif'],
  maxPixels: 10_000_000,
  maxFrames: 1,
  timeoutSeconds: 20,
} as const

test('A picture stored on its side is upright in every format, as a viewer shows it', async () => {
  const engine = createSharpEngine(LIMITS)
  const source = { bytes: await fixture('mountains-orientation-6.jpg') }
  const upright = await thumbnail(await fixture('mountains.jpg'))
  const facts = await engine.inspect(source)
  for (const format of OUTPUT_FORMATS) {
    const rendition = await renderOne(engine, source, planTransform(parseSpec('320w'), facts, format, 1000))
    const shown = sharp(rendition).autoOrient()
    const { info } = await shown.clone().toBuffer({ resolveWithObject: true })
    assert.deepEqual({ width: info.width, height: info.height }, { width: 320, height: 240 }, format)
    assert.ok(
      meanDifference(await thumbnail(await shown.png().toBuffer()), upright) < 6,
      `${format} shows another picture`,
    )
  }
})

/** 16x12 pixels, whichever way the picture is stored. */
async function thumbnail(bytes: Buffer): Promise<Buffer> {
  return await sharp(bytes)
    .autoOrient()
    .resize(16, 12, { fit: 'fill' })
    .flatten()
    .toColourspace('srgb')
    .raw()
    .toBuffer()
}

function meanDifference(a: Buffer, b: Buffer): number {
  return a.reduce((sum, value, at) => sum + Math.abs(value - (b[at] ?? 255)), 0) / a.length
}
