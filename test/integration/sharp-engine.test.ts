import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { displayedSize } from '../../src/domain/picture/original-facts.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { assertAlike, distance, meanColour } from '../../tools/pictures/perceive.ts'
import { createEngine, fixture, render } from '../support/render.ts'

const FACTS = {
  'mountains.jpg': { format: 'jpeg', width: 1200, height: 900, orientation: 1, alpha: false, frames: 1 },
  'mountains-orientation-6.jpg': { format: 'jpeg', width: 900, height: 1200, orientation: 6, alpha: false, frames: 1 },
  'fig-alpha.png': { format: 'png', width: 240, height: 180, orientation: 1, alpha: true, frames: 1 },
  'fig-cmyk.jpg': { format: 'jpeg', width: 240, height: 180, orientation: 1, alpha: false, frames: 1 },
  'dogs-grey.jpg': { format: 'jpeg', width: 480, height: 640, orientation: 1, alpha: false, frames: 1 },
  'dandelion.gif': { format: 'gif', width: 160, height: 90, orientation: 1, alpha: true, frames: 6 },
  'stream.webp': { format: 'webp', width: 640, height: 480, orientation: 1, alpha: false, frames: 1 },
  'stream.avif': { format: 'avif', width: 640, height: 480, orientation: 1, alpha: false, frames: 1 },
} as const
for (const [name, { width, height, ...facts }] of Object.entries(FACTS)) {
  test(`The header of ${name} is read`, async () => {
    const { alpha, decodingBytes = 0, ...rest } = await createEngine().inspect({ bytes: await fixture(name) })
    assert.deepEqual({ ...rest, alpha }, { ...facts, stored: { width, height } })
    assert.equal(
      decodingBytes > 0,
      ['gif', 'webp', 'avif'].includes(facts.format),
      'what comes line by line takes none',
    )
  })
}

const FORMATS_OF_SHARP = { jpg: 'jpeg', png: 'png', webp: 'webp', avif: 'heif', gif: 'gif' } as const

for (const name of Object.keys(FACTS)) {
  test(`${name} is rendered in every format, of the size asked for, and looks the same`, async () => {
    const bytes = await fixture(name)
    const { width, height } = displayedSize(await createEngine().inspect({ bytes }))
    for (const format of OUTPUT_FORMATS) {
      const made = await render(bytes, '120w', format)
      const metadata = await sharp(made).metadata()
      assert.deepEqual([metadata.width, metadata.height], [120, Math.round((120 * height) / width)])
      assert.equal(metadata.format, FORMATS_OF_SHARP[format])
      assert.equal(metadata.space, 'srgb')
      // A GIF has no half-transparent pixels.
      await assertAlike(made, bytes, format === 'gif' ? 8 : 3)
    }
  })
}

test('A TIFF loses nothing', async () => {
  const bytes = await fixture('mountains.jpg')
  const made = await render(bytes, '120w', 'tiff')
  // The engine has blocked what it need not read.
  sharp.unblock({ operation: ['VipsForeignLoadTiffBuffer'] })
  assert.equal((await sharp(made).metadata()).format, 'tiff')
  const pixels = (encoded: Buffer) => sharp(encoded).removeAlpha().raw().toBuffer()
  assert.deepEqual(await pixels(made), await pixels(await render(bytes, '120w', 'png')))
})

test('All eight orientations of a photograph are rendered upright, whole and cropped', async () => {
  const upright = await fixture('mountains.jpg')
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const stored = await store(upright, orientation)
    await assertAlike(await render(stored, '200w', 'webp'), upright)
    const expected = sharp(upright).resize(100, 100, { position: 'left top' })
    await assertAlike(await render(stored, '100s,topleft', 'webp'), await expected.png().toBuffer())
  }
})

/** The picture as a camera of that orientation stores it: turned back by what a viewer will turn it. */
async function store(upright: Buffer, orientation: number): Promise<Buffer> {
  const back = { 1: [], 2: ['flop'], 3: [180], 4: ['flip'], 5: [90, 'flop'], 6: [270], 7: [270, 'flop'], 8: [90] }
  let bytes = upright
  for (const step of Object.entries(back).find(([key]) => key === String(orientation))?.[1] ?? []) {
    const image = sharp(bytes)
    const stepped = typeof step === 'number' ? image.rotate(step) : step === 'flop' ? image.flop() : image.flip()
    bytes = await stepped.png().toBuffer()
  }
  return await sharp(bytes).withMetadata({ orientation }).jpeg({ quality: 90 }).toBuffer()
}

test('Turns and mirrors come after the EXIF orientation, in the order rot, flip, flop', async () => {
  const upright = await fixture('mountains.jpg')
  const turned = await fixture('mountains-orientation-6.jpg')
  const rotated = await sharp(upright).rotate(90).png().toBuffer()
  const flipped = await sharp(rotated).flip().png().toBuffer()
  const flopped = await sharp(flipped).flop().png().toBuffer()
  for (const original of [upright, turned]) {
    await assertAlike(await render(original, '150w,rot90', 'png'), rotated)
    await assertAlike(await render(original, '150w,rot90,flip', 'png'), flipped)
    await assertAlike(await render(original, '150w,rot90,flip,flop', 'png'), flopped)
    await assertAlike(await render(original, '150w,flop', 'png'), await sharp(upright).flop().png().toBuffer())
  }
})

test('A number that is no orientation counts as none', async () => {
  const stored = await fixture('mountains-orientation-6.jpg')
  const at = stored.indexOf(Buffer.from([0x12, 0x01, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x06]))
  const bigEndianAt = stored.indexOf(Buffer.from([0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x06]))
  assert.ok(at > 0 || bigEndianAt > 0)
  for (const orientation of [0, 9, 200]) {
    const odd = Buffer.from(stored)
    odd[at > 0 ? at + 8 : bigEndianAt + 9] = orientation
    const facts = await createEngine().inspect({ bytes: odd })
    assert.deepEqual(displayedSize(facts), { width: 900, height: 1200 })
    const { width, height } = await sharp(await render(odd, '90w', 'webp')).metadata()
    assert.deepEqual([width, height], [90, 120])
  }
})

test('No metadata of the original is left in any format', async () => {
  const bytes = await fixture('mountains-gps.jpg')
  assert.ok((await sharp(bytes).metadata()).exif)
  for (const format of OUTPUT_FORMATS) {
    const made = await render(bytes, '200w', format)
    const { exif, xmp, iptc, orientation, icc } = await sharp(made).metadata()
    assert.deepEqual({ exif, xmp, iptc, orientation, icc }, NO_METADATA)
    assert.doesNotMatch(made.toString('latin1'), /Fixture|Darkroom|Berasategi|Exif/)
  }
})
const NO_METADATA = { exif: undefined, xmp: undefined, iptc: undefined, orientation: undefined, icc: undefined }

test('Colours of another profile are those that the profile means', async () => {
  const bytes = await fixture('brushes-p3.jpg')
  const made = await render(bytes, '320w', 'png')
  await assertAlike(made, bytes, 2)
  const ignored = await sharp(bytes, { ignoreIcc: true }).png().toBuffer()
  assert.ok((await distance(made, ignored)) > 2 * (await distance(made, bytes)), 'the profile makes a difference')
})

test('CMYK is turned into the same colours', async () => {
  const opaque = { left: 80, top: 60, width: 80, height: 60 }
  const expected = await sharp(await fixture('fig-alpha.png'))
    .extract(opaque)
    .png()
    .toBuffer()
  for (const format of OUTPUT_FORMATS) {
    const made = await render(await fixture('fig-cmyk.jpg'), 'full', format)
    const { space, channels } = await sharp(made).metadata()
    assert.deepEqual([space, channels], ['srgb', 3])
    await assertAlike(await sharp(made).extract(opaque).png().toBuffer(), expected, 12)
  }
})

test('A profile that is broken is as good as none', async () => {
  const bytes = await fixture('brushes-p3.jpg')
  const at = bytes.indexOf('ICC_PROFILE')
  assert.ok(at > 0)
  const spoiled = Buffer.from(bytes)
  spoiled.fill(0xaa, at + 14, at + 200)
  const made = await render(spoiled, '100w', 'webp')
  await assertAlike(made, await sharp(bytes, { ignoreIcc: true }).png().toBuffer(), 6)
})

test('Alpha is kept where the format has it, and laid onto white or the colour asked for where not', async () => {
  const bytes = await fixture('fig-alpha.png')
  for (const format of ['png', 'webp', 'avif', 'gif'] as const) {
    const { data, info } = await corner(await render(bytes, '120w', format))
    assert.deepEqual([info.channels, data[3]], [4, 0], format)
  }
  const red = { jpg: 'jpg', png: 'png', webp: 'webp' } as const
  for (const format of Object.values(red)) {
    const { data } = await corner(await render(bytes, '120w,bgff0000', format))
    const [r = 0, g = 0, b = 0, a = 255] = data
    assert.ok(r > 240 && g < 15 && b < 15 && a === 255, `${format}: ${data.toString('hex')}`)
  }
  const { data } = await corner(await render(bytes, '120w', 'jpg'))
  assert.ok([...data].every((value) => value > 250))
})

/** The pixel at the top left. */
function corner(bytes: Buffer) {
  return sharp(bytes).extract({ left: 0, top: 0, width: 1, height: 1 }).raw().toBuffer({ resolveWithObject: true })
}

test('A contained picture has its canvas, clear where the format allows and coloured where asked for', async () => {
  const bytes = await fixture('mountains.jpg')
  for (const [spec, format, expected] of [
    ['100s,contain', 'webp', [0, 0, 0, 0]],
    ['100s,contain', 'png', [0, 0, 0, 0]],
    ['100s,contain', 'jpg', [255, 255, 255]],
    ['100s,contain,bg0000ff', 'png', [0, 0, 255]],
    ['100s,contain,bg0000ff', 'jpg', [0, 0, 255]],
    ['100s,contain,bottom', 'avif', [0, 0, 0, 0]],
  ] as const) {
    const made = await render(bytes, spec, format)
    const { width, height } = await sharp(made).metadata()
    assert.deepEqual([width, height], [100, 100])
    const { data } = await corner(made)
    assert.equal(data.length, expected.length, `${spec} ${format}`)
    for (const [index, value] of [...data].entries()) {
      assert.ok(Math.abs(value - (expected[index] ?? 0)) < 6, `${spec} ${format}: ${data.toString('hex')}`)
    }
  }
})

test('A grey picture is grey, and stays so in a coloured canvas only beside it', async () => {
  const made = await render(await fixture('mountains.jpg'), '100w,gray', 'webp')
  const [red = 0, green = 0, blue = 0] = await meanColour(made)
  assert.ok(Math.abs(red - green) < 2 && Math.abs(green - blue) < 2)
  const grey = await render(await fixture('dogs-grey.jpg'), '100w', 'jpg')
  await assertAlike(grey, await fixture('dogs-grey.jpg'))
})

test('Blur takes detail away and sharpen adds it, neither changes the picture from afar', async () => {
  const bytes = await fixture('mountains.jpg')
  const detail = async (spec: string) => {
    const made = await render(bytes, spec, 'png')
    await assertAlike(made, bytes, 8)
    return (await sharp(made).stats()).sharpness
  }
  const [blurred, plain, sharpened] = [await detail('300w,blur2'), await detail('300w'), await detail('300w,sharpen')]
  assert.ok(blurred < plain / 2 && sharpened > plain * 1.2, `${blurred} ${plain} ${sharpened}`)
})

test('A picture is enlarged only if asked for', async () => {
  const bytes = await fixture('fig-alpha.png')
  const size = async (spec: string) => {
    const { width, height } = await sharp(await render(bytes, spec, 'webp')).metadata()
    return `${width}x${height}`
  }
  assert.equal(await size('480w'), '240x180')
  assert.equal(await size('480w,up'), '480x360')
  assert.equal(await size('300s'), '180x180')
  assert.equal(await size('300s,up'), '300x300')
})

test('Smart and entropic crops of a turned photograph have the size asked for, and are a part of it', async () => {
  for (const name of ['mountains.jpg', 'mountains-orientation-6.jpg']) {
    for (const spec of ['120w200h,cover,smart', '200w50h,cover,entropy', '150s,smart', '100s,smart,rot90']) {
      const made = await render(await fixture(name), spec, 'webp')
      const { width, height } = await sharp(made).metadata()
      const [, w, h] = /^(\d+)(?:w(\d+)h|s)/.exec(spec) ?? []
      assert.deepEqual([width, height], [Number(w), Number(h ?? w)], spec)
    }
  }
  const [straight, turned] = await Promise.all(
    ['mountains.jpg', 'mountains-orientation-6.jpg'].map(async (name) =>
      render(await fixture(name), '120w200h,cover,smart', 'png'),
    ),
  )
  assert.ok(straight && turned)
  await assertAlike(straight, turned, 8)
})

test('A lower quality weighs less', async () => {
  const bytes = await fixture('mountains.jpg')
  for (const format of ['jpg', 'webp', 'avif'] as const) {
    const [low, usual, high] = await Promise.all(
      ['200w,q20', '200w', '200w,q95'].map(async (spec) => (await render(bytes, spec, format)).length),
    )
    assert.ok(low && usual && high && low < usual && usual < high, `${format} ${low} ${usual} ${high}`)
  }
})
