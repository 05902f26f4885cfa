import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { difference } from '../../tools/pictures/difference.ts'
import { decode } from '../../tools/pictures/raster.ts'
import { createEngine, renderOne } from '../support/render.ts'
import { ALPHA_CASES } from './alpha-cases.ts'
import { COLOUR_CASES } from './colour-cases.ts'
import { type Exhibit, writeContactSheet } from './contact-sheet.ts'
import { CROP_CASES } from './crop-cases.ts'
import type { GoldenCase } from './golden-case.ts'
import { KIND_CASES } from './kind-cases.ts'
import { ORIENTATION_CASES } from './orientation-cases.ts'

const engine = createEngine({ inputFormats: INPUT_FORMATS })
const exhibits: Exhibit[] = []
after(async () => console.log(`What was compared can be seen in ${await writeContactSheet(exhibits)}`))

for (const golden of [...ORIENTATION_CASES, ...COLOUR_CASES, ...ALPHA_CASES, ...KIND_CASES, ...CROP_CASES]) {
  const { name, group, limits } = golden
  test(`${group}: ${name} looks like its reference`, async () => {
    const bytes = await render(golden)
    const [rendition, reference] = [await decode(bytes, golden.page), await golden.reference()]
    const apart = difference(rendition, reference)
    exhibits.push({ golden, rendition, reference, apart, sizeBytes: bytes.length })
    const told = JSON.stringify(apart)
    assert.ok(apart.deltaE <= limits.deltaE && apart.maxDeltaE <= (limits.maxDeltaE ?? Infinity), told)
    assert.ok(apart.shift <= limits.shift && apart.ssim >= limits.ssim, told)
  })
}

async function render({ original, spec, format }: GoldenCase): Promise<Buffer> {
  const source = { bytes: await original() }
  const facts = await engine.inspect(source)
  await engine.verify(source, facts)
  return await renderOne(engine, source, planTransform(parseSpec(spec), facts, format, 8192))
}
