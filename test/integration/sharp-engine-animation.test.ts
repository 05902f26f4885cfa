import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { assertAlike, distance } from '../../tools/pictures/perceive.ts'
import { fixture, render } from '../support/render.ts'

const DELAYS_MS = [100, 100, 200, 100, 100, 400]

async function timing(bytes: Buffer) {
  const { width, height, pageHeight = height, pages = 1, delay, loop } = await sharp(bytes, { pages: -1 }).metadata()
  return { width, height: pageHeight, frames: pages, delay, loop }
}

const frame = (bytes: Buffer, page: number) => sharp(bytes, { page }).png().toBuffer()

for (const format of ['webp', 'gif'] as const) {
  test(`An animation keeps its frames, their times and its loop as ${format}`, async () => {
    const bytes = await fixture('dandelion.gif')
    const made = await render(bytes, '80w', format)
    assert.deepEqual(await timing(made), { width: 80, height: 45, frames: 6, delay: DELAYS_MS, loop: 0 })
    for (const page of [0, 3, 5]) await assertAlike(await frame(made, page), await frame(bytes, page), 6)
    assert.ok((await distance(await frame(made, 0), await frame(made, 5))) > 3, 'the frames differ')
  })

  test(`An animation that plays a number of times goes on doing so as ${format}`, async () => {
    const original = await sharp(await fixture('dandelion.gif'), { pages: -1 })
      .webp({ loop: 3 })
      .toBuffer()
    for (const spec of ['80w', '80w,rot90']) {
      assert.equal((await timing(await render(original, spec, format))).loop, 3)
    }
  })

  test(`An animation that is turned on its side keeps its frames and their times as ${format}`, async () => {
    const bytes = await fixture('dandelion.gif')
    for (const [spec, width, height] of [
      ['45w,rot90', 45, 80],
      ['40s,rot270,topleft', 40, 40],
      ['60s,rot90,contain', 60, 60],
    ] as const) {
      const made = await render(bytes, spec, format)
      assert.deepEqual(await timing(made), { width, height, frames: 6, delay: DELAYS_MS, loop: 0 }, spec)
    }
    const made = await render(bytes, '90w,rot90', format)
    for (const page of [0, 5]) {
      const expected = await sharp(await frame(bytes, page))
        .rotate(90)
        .png()
        .toBuffer()
      await assertAlike(await frame(made, page), expected, 6)
    }
  })

  test(`Every frame is cropped, padded, mirrored, turned grey and blurred alike as ${format}`, async () => {
    const bytes = await fixture('dandelion.gif')
    for (const [spec, width, height] of [
      ['50s,smart', 50, 50],
      ['80w80h,contain', 80, 80],
      ['80w,flip,flop,rot180', 80, 45],
      ['80w,gray,blur1,sharpen', 80, 45],
      ['320w,up', 320, 180],
      ['100w20h,fill,bg00ff00', 100, 20],
    ] as const) {
      const made = await render(bytes, spec, format)
      assert.deepEqual(await timing(made), { width, height, frames: 6, delay: DELAYS_MS, loop: 0 }, spec)
    }
    const flipped = await render(bytes, '160w,flip', format)
    for (const page of [0, 5]) {
      await assertAlike(
        await frame(flipped, page),
        await sharp(await frame(bytes, page))
          .flip()
          .png()
          .toBuffer(),
        6,
      )
    }
    const turned = await render(bytes, '160w,rot180', format)
    for (const page of [0, 5]) {
      await assertAlike(
        await frame(turned, page),
        await sharp(await frame(bytes, page))
          .rotate(180)
          .png()
          .toBuffer(),
        6,
      )
    }
  })
}

test('The edges of one frame are not blurred into the next', async () => {
  const colours = ['#ff0000', '#0000ff', '#ff0000']
  const frames = colours.map((background) =>
    sharp({ create: { width: 60, height: 60, channels: 3, background } })
      .png()
      .toBuffer(),
  )
  const bytes = await sharp(await Promise.all(frames), { join: { animated: true } })
    .webp({ lossless: true, delay: [50, 60, 70] })
    .toBuffer()
  const made = await render(bytes, '60w,blur8,sharpen,q100', 'webp')
  assert.deepEqual((await timing(made)).delay, [50, 60, 70])
  for (const page of [0, 1, 2]) {
    const { channels } = await sharp(made, { page }).removeAlpha().stats()
    for (const channel of [0, 2]) assert.ok((channels[channel]?.stdev ?? 99) < 4, `channel ${channel} of frame ${page}`)
  }
})

test('The padding of every frame is clear', async () => {
  const made = await render(await fixture('dandelion.gif'), '80s,contain', 'webp')
  for (const page of [0, 5]) {
    const top = sharp(made, { page }).ensureAlpha().extract({ left: 40, top: 2, width: 1, height: 1 })
    assert.equal((await top.raw().toBuffer())[3], 0)
  }
})

test('A still, or a format without animation, shows the first frame', async () => {
  const bytes = await fixture('dandelion.gif')
  for (const [spec, format] of [
    ['160w,still', 'webp'],
    ['160w,still', 'gif'],
    ['160w', 'jpg'],
    ['160w', 'png'],
    ['160w', 'avif'],
  ] as const) {
    const made = await render(bytes, spec, format)
    const { pages = 1, width, height } = await sharp(made).metadata()
    assert.deepEqual([pages, width, height], [1, 160, 90], `${spec} ${format}`)
    await assertAlike(made, await frame(bytes, 0), 6)
  }
})

test('A transparent animation stays one, however it is turned', async () => {
  const still = await fixture('fig-alpha.png')
  const frames = [still, await sharp(still).flop().toBuffer()]
  const bytes = await sharp(frames, { join: { animated: true } })
    .webp({ delay: [70, 130] })
    .toBuffer()
  for (const spec of ['60w', '60w,rot90']) {
    for (const format of ['webp', 'gif'] as const) {
      const made = await render(bytes, spec, format)
      assert.deepEqual((await timing(made)).delay, [70, 130])
      for (const page of [0, 1]) {
        const corner = sharp(made, { page }).ensureAlpha().extract({ left: 0, top: 0, width: 1, height: 1 })
        assert.equal((await corner.raw().toBuffer())[3], 0, `${spec} ${format}`)
      }
    }
  }
})
