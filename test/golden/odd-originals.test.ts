import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { ADOBE_RGB, convert, SRGB } from '../../tools/pictures/colour.ts'
import { difference } from '../../tools/pictures/difference.ts'
import { decode, paint, pixelAt, rearrange, resample } from '../../tools/pictures/raster.ts'
import { createEngine, fixture, renderOne } from '../support/render.ts'
import { PHOTOGRAPH } from './golden-case.ts'

const SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
const svg = (inner: string, head = '') => Buffer.from(`${head}<svg ${SVG} width="40" height="40">${inner}</svg>`)

test('A HEIC is refused with the reason, also where HEIF is switched on', async () => {
  const bytes = await fixture('mountains.heic')
  const refusal = { code: 'original_unsupported', message: /HEIC is not supported: send the image as JPEG/ }
  for (const inputFormats of [['jpeg', 'avif'], INPUT_FORMATS] as const) {
    await assert.rejects(createEngine({ inputFormats }).inspect({ bytes }), refusal)
  }
})

test('A drawing reads no other file, neither beside it nor by its whole name', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-drawing-'))
  t.after(() => rm(folder, { recursive: true }))
  const secret = { width: 40, height: 40, channels: 3, background: '#ff0000' } as const
  await writeFile(join(folder, 'secret.png'), await sharp({ create: secret }).png().toBuffer())
  const engine = createEngine({ inputFormats: INPUT_FORMATS })
  for (const reference of ['secret.png', join(folder, 'secret.png'), `file://${join(folder, 'secret.png')}`]) {
    const path = join(folder, 'drawing.svg')
    const image = `<image width="40" height="40" href="${reference}" xlink:href="${reference}"/>`
    const included = `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="${reference}" parse="text"/>`
    await writeFile(path, svg(`<path fill="#00f" d="M0 0h9v9H0z"/>${image}<text y="20">${included}</text>`))
    await engine.verify({ path }, await engine.inspect({ path }))
    const plan = planTransform(parseSpec('40w'), await engine.inspect({ path }), 'png', 1000)
    const drawn = await decode(await renderOne(engine, { path }, plan))
    assert.deepEqual([pixelAt(drawn, 4, 4), pixelAt(drawn, 20, 20)[3]], [[0, 0, 255, 255], 0], reference)
  }
})

test('A drawing that defines entities is refused: they could grow without end, or name a file', async () => {
  const entities = Array.from({ length: 12 }, (_, index) => `<!ENTITY e${index + 1} "${`&e${index};`.repeat(10)}">`)
  const laughs = svg('<text>&e12;</text>', `<!DOCTYPE svg [<!ENTITY e0 "ha">${entities.join('')}]>`)
  const file = svg('<text y="20">&file;</text>', '<!DOCTYPE svg [<!ENTITY file SYSTEM "file:///etc/passwd">]>')
  const engine = createEngine({ inputFormats: INPUT_FORMATS })
  for (const bytes of [laughs, file]) await assert.rejects(engine.inspect({ bytes }), { code: 'original_unsupported' })
})

test('A drawing that calls itself huge is refused before it is drawn', async () => {
  const bytes = Buffer.from(`<svg ${SVG} width="30000" height="30000"><path d="M0 0h9v9H0z"/></svg>`)
  const engine = createEngine({ inputFormats: INPUT_FORMATS })
  await assert.rejects(engine.inspect({ bytes }), { code: 'original_too_large' })
})

test('What the golden pictures allow is less than a lost profile or a wrong turn makes', async () => {
  const photograph = resample(await decode(await fixture('mountains.jpg')), { width: 160, height: 120 })
  const unconverted = paint(photograph, (x, y) => convert(pixelAt(photograph, x, y), SRGB, ADOBE_RGB))
  const mirrored = rearrange(photograph, photograph, (x, y) => [159 - x, y])
  for (const { shift, ssim } of Object.values(PHOTOGRAPH)) {
    assert.ok(difference(photograph, unconverted).shift > 1.5 * shift)
    const turned = difference(photograph, mirrored)
    assert.ok(turned.shift > 4 * shift && turned.ssim < ssim / 2)
  }
})
