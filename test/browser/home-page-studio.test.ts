import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { decode as decodeBlurHash } from 'blurhash'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { thumbHashToRGBA } from 'thumbhash'
import { z } from 'zod'
import { createScope } from '../../tools/processes/scope.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import type { Darkroom } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import {
  accessibilityFaults,
  clippedTexts,
  drop,
  layoutShifts,
  pageOpener,
  rendition,
  shownPixel,
  untilTrue,
  uploadRow,
} from '../support/home-page.ts'

const fixturePath = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
const MOUNTAINS = fixturePath('mountains.jpg')

/** Of the browser and the node, which all tests use. */
const scope = createScope()
after(() => scope.close())
const openPage = pageOpener(scope)
let shared: Promise<Darkroom> | undefined

async function openShared(t: TestContext, options: Parameters<typeof openPage>[2] = {}) {
  shared ??= startNodeFor(scope)
  const { url } = await shared
  return { ...(await openPage(t, `${url}/#token=${TOKEN}`, options)), url }
}

/** Opens the page with an uploaded image and its first rendition. */
async function openStudio(t: TestContext, file = MOUNTAINS) {
  const opened = await openShared(t, { permissions: ['clipboard-read', 'clipboard-write'] })
  await opened.page.setInputFiles('#file', file)
  await rendition(opened.page, 1)
  return opened
}

test('The fields make the specification, and each rendition has its bytes and Server-Timing', async (t) => {
  const { page, url, complaints } = await openStudio(t)
  await page.getByLabel('Width', { exact: true }).fill('300')
  await page.getByLabel('Height').fill('200')
  await page.locator('#fit').selectOption('cover')
  await page.locator('#position').selectOption('bottomright')
  await page.getByLabel('Quality').fill('60')
  await page.getByLabel('Pixel ratio').fill('1.5')
  await page.getByLabel('gray').check()
  await page.getByLabel('Background').fill('#FFEEDD')
  await page.locator('#format').selectOption('jpg')
  assert.equal(await page.inputValue('#spec'), '300w200h,cover,bottomright,1.5x,q60,bgffeedd,gray.jpg')
  await page.getByRole('button', { name: 'Render' }).click()
  const row = await rendition(page, 2)
  assert.match(row, /jpeg, 450 × 300, [\d.]+ KiB \(\d+ % of the original\), \d+ ms/)
  assert.match(row, /Server-Timing: cache: miss, node: [\d.]+ ms/)
  const link = page.locator('#rendition-list a').last()
  const { body } = await rawRequest(url, (await link.getAttribute('href')) ?? '')
  assert.ok(row.includes(`${Number((body.length / 1024).toFixed(1))} KiB`))
  assert.deepEqual(complaints, [])

  // The server explains what it refuses, in its own words, and redirects other spellings.
  const path = (await link.getAttribute('href'))?.replace(/[^/]*$/, '') ?? ''
  for (const wrong of ['400w@2x', '400w,cover', '400w,at30x70', 'full,up']) {
    const { message } = jsonFields((await rawRequest(url, `${path}${wrong}`)).body)
    await page.getByLabel('Size specification').fill(wrong)
    await page.keyboard.press('Enter')
    await page
      .getByRole('alert')
      .filter({ hasText: String(message) })
      .waitFor()
  }
  await page.getByLabel('Size specification').fill('200H300W.webp')
  await page.keyboard.press('Enter')
  assert.match(await rendition(page, 3), /^300w200h\.webp/)
  assert.equal(await page.locator('#refusal').innerText(), '')
})

test('A click on the original sets the focal point, also of a picture that is rotated and mirrored', async (t) => {
  const red = await sharp({ create: { width: 60, height: 60, channels: 3, background: '#f00' } })
    .png()
    .toBuffer()
  const { page } = await openShared(t)
  const picture = sharp({ create: { width: 400, height: 300, channels: 3, background: '#bbb' } })
  const bytes = await picture
    .composite([{ input: red, left: 300, top: 30 }])
    .png()
    .toBuffer()
  await drop(page, [{ bytes, name: 'patch.png', type: 'image/png' }])
  await rendition(page, 1)
  await page.locator('#format').selectOption('png')
  const box = await page.locator('#original').boundingBox()
  assert.ok(box)
  const scale = Math.min(1, box.width / 400, box.height / 300)
  // The centre of the patch, in the middle of the stage.
  const position = { x: box.width / 2 + (330 - 200) * scale, y: box.height / 2 + (60 - 150) * scale }
  const turns: readonly (readonly [string, readonly string[]])[] = [
    ['', []],
    ['', ['flop']],
    ['90', []],
    ['90', ['flip']],
    ['180', ['flop']],
    ['270', ['flip', 'flop']],
  ]
  for (const [index, [rotate, mirrors]] of turns.entries()) {
    await page.locator('#rotate').selectOption(rotate)
    for (const name of ['flip', 'flop']) await page.getByLabel(name, { exact: true }).setChecked(mirrors.includes(name))
    // A column or a row of the picture at its own scale.
    const isOnSide = rotate === '90' || rotate === '270'
    await page.getByLabel('Width', { exact: true }).fill('31')
    await page.getByLabel('Height').fill(isOnSide ? '400' : '300')
    await page.locator('#original').click({ position })
    assert.match(await rendition(page, index + 2), /png, 31 × [34]00/)
    assert.match(await page.inputValue('#spec'), /,at\d+x\d+/)
    const y = Number(await page.inputValue('#y'))
    const pixel = await shownPixel(page, 15, Math.round((y / 100) * (isOnSide ? 400 : 300)))
    assert.deepEqual(pixel, [255, 0, 0, 255], `${rotate} ${mirrors.join()}`)
  }
  const marker = await page.locator('#marker').boundingBox()
  const shown = await page.locator('#original').boundingBox()
  assert.ok(marker && shown)
  const apart = [
    marker.x + marker.width / 2 - shown.x - position.x,
    marker.y + marker.height / 2 - shown.y - position.y,
  ]
  assert.ok(
    apart.every((distance) => Math.abs(distance) < 5),
    `the marker is ${apart.join(', ')} pixels off`,
  )
})

test('Two renditions are compared by a slider, side by side and by their difference', async (t) => {
  const { page } = await openStudio(t)
  for (const [index, quality] of ['20', '90'].entries()) {
    await page.getByLabel('Quality').fill(quality)
    await page.getByRole('button', { name: 'Render' }).click()
    await rendition(page, index + 2)
  }
  const said = page.locator('#comparison')
  await said
    .filter({ hasText: /A: 400w,q20 .+ B: 400w,q90 .+ B is \d+ % larger\. Mean difference of the pixels: [1-9]/ })
    .waitFor()
  const differing = Number(/pixels: (?<difference>[\d.]+)/.exec(await said.innerText())?.groups?.['difference'])
  await page.getByLabel('B is 400w,q20').check()
  await said.filter({ hasText: 'Both have the same size. Mean difference of the pixels: 0.00' }).waitFor()
  assert.ok(differing > 1)
  await page.getByLabel('B is 400w,q90').check()
  const clip = () => page.evaluate(`getComputedStyle(document.getElementById('two')).clipPath`)
  assert.equal(await clip(), 'inset(0px 0px 0px 50%)')
  await page.getByLabel('Position of the slider').fill('20')
  assert.equal(await clip(), 'inset(0px 0px 0px 20%)')
  await page.getByLabel('Side by side').check()
  const [one, two] = [await page.locator('#one').boundingBox(), await page.locator('#two').boundingBox()]
  assert.ok(one && two && one.x + one.width <= two.x)
  await page.getByLabel('Difference').check()
  assert.equal(await page.evaluate(`getComputedStyle(document.getElementById('two')).mixBlendMode`), 'difference')
})

/** What a browser loads for code in a page of another origin. @returns URLs of the pictures that it shows. */
async function shownBy(page: Page, code: string): Promise<readonly string[]> {
  const context = page.context()
  const other = await context.newPage()
  await other.setContent(`<!doctype html><body>${code}`)
  const sources: unknown = await other.evaluate(`(async () => {
    const images = [...document.images]
    for (const image of images) await image.decode()
    return images.filter(({ naturalWidth }) => naturalWidth > 0).map(({ currentSrc }) => currentSrc)
  })()`)
  await other.close()
  return z.array(z.string()).parse(sources)
}

test('Copied code shows the picture in another page, and a card loads no more than it needs', async (t) => {
  const { page, url } = await openStudio(t)
  const copied = async (name: string) => {
    await page.getByRole('button', { name: `Copy ${name}` }).click()
    await page
      .getByRole('status')
      .filter({ hasText: `${name}: copied` })
      .waitFor()
    return z.string().parse(await page.evaluate('navigator.clipboard.readText()'))
  }
  await page.getByLabel('Alternative text').fill('Peaks & "snow"')
  const img = await copied('<img>')
  assert.match(
    img,
    / sizes="300px"\s.*width="300" height="225" alt="Peaks &amp; &quot;snow&quot;" loading="lazy" decoding="async">$/s,
  )
  assert.doesNotMatch(img, /100vw/)
  const [shown = ''] = await shownBy(page, img)
  assert.match(shown, new RegExp(`^${url}/image/[0-9a-f]{40}/300w$`))
  const [inPicture = ''] = await shownBy(page, await copied('<picture>'))
  assert.match(inPicture, /\/300w\.avif$/)
  const css = await copied('CSS')
  const images = [...css.matchAll(/url\("(?<url>[^"]+)"\) (?<density>\dx)/g)].map(({ groups }) => [
    groups?.['url'],
    groups?.['density'],
  ])
  assert.deepEqual(
    images.map(([, density]) => density),
    ['1x', '2x'],
  )
  assert.equal((await shownBy(page, images.map(([source]) => `<img src="${source}">`).join(''))).length, 2)
  assert.match(await copied('Markdown'), /^!\[Peaks & "snow"\]\(http\S+\/300w\)$/)

  await page.locator('#layout-kind').selectOption('full')
  assert.match(await page.inputValue('#tag'), / 1200w"\n {2}sizes="100vw"/)
  await page.locator('#layout-kind').selectOption('own')
  assert.match(await page.inputValue('#tag'), /sizes="\(min-width: 60rem\) 50vw, 100vw"/)
  await page.locator('#layout-kind').selectOption('fixed')
  await page.locator('#card').fill('900')
  assert.match(await page.inputValue('#tag'), /sizes="\(min-width: 900px\) 900px, 100vw"/)

  // A crop keeps its shape at every width, and none is wider than the original allows.
  await page.getByLabel('Size specification').fill('400w600h,cover,smart.webp')
  await page.keyboard.press('Enter')
  await page.getByText('For 400w600h,cover,smart.webp.').waitFor()
  assert.match(await page.inputValue('#tag'), /src="\S+\/600w900h,cover,smart\.webp"\n/)
  await page.getByText('The browser enlarges it').waitFor()
  await page.locator('#card').fill('300')
  const tag = await page.inputValue('#tag')
  const boxes = [...tag.matchAll(/\/(\w+),cover,smart\.webp (\d+w)/g)].map(([, ...box]) => box.join(' '))
  assert.deepEqual(boxes, ['300w450h 300w', '450w675h 450w', '600w900h 600w'])
})

test('The record shows what the file says with the token, and the placeholders as their own decoders do', async (t) => {
  const { page, url } = await openStudio(t, fixturePath('mountains-orientation-6.jpg'))
  await page.getByText('EXIF, IPTC and XMP of the original.').waitFor()
  assert.match(await page.locator('#metadata').innerText(), /"exif": \{/)
  const path = (await page.locator('#rendition-list a').getAttribute('href')) ?? ''
  const info = await rawRequest(url, `/images/${path.split('/')[2]}/info`, { headers: AUTHORIZATION })
  const { thumbHash, blurHash } = jsonFields(info.body)
  const drawn = async (id: string) => {
    const pixels: unknown = await page.evaluate(`(() => {
      const { width, height } = document.getElementById('${id}')
      return { width, height, data: [...document.getElementById('${id}').getContext('2d').getImageData(0, 0, width, height).data] }
    })()`)
    return z.object({ width: z.number(), height: z.number(), data: z.array(z.number()) }).parse(pixels)
  }
  const assertNear = (actual: readonly number[], expected: Iterable<number>, what: string) => {
    const wanted = [...expected]
    assert.equal(actual.length, wanted.length, what)
    const worst = Math.max(...actual.map((value, index) => Math.abs(value - (wanted[index] ?? 0))))
    assert.ok(worst <= 1, `${what} differs by ${worst}`)
  }
  const thumb = thumbHashToRGBA(Buffer.from(String(thumbHash), 'base64'))
  const thumbDrawn = await drawn('thumbhash')
  assert.deepEqual([thumbDrawn.width, thumbDrawn.height], [thumb.w, thumb.h])
  assertNear(thumbDrawn.data, thumb.rgba, 'ThumbHash')
  const { width, height, data } = await drawn('blurhash')
  assertNear(data, decodeBlurHash(String(blurHash), width, height), 'BlurHash')
})

/** Presses Tab until an element has the focus. Each one on the way has to be in sight, with an outline. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let stops = 0; stops < 120; stops += 1) {
    await page.keyboard.press('Tab')
    const stop: unknown = await page.evaluate(`(() => {
      const element = document.activeElement
      const shown = element.id === 'file' ? element.parentElement : element
      const { top, bottom } = shown.getBoundingClientRect()
      return { isThere: element.matches('${selector}'), name: element.outerHTML.slice(0, 80),
        isSeen: element === document.body || (bottom > 0 && top < innerHeight && getComputedStyle(shown).outlineStyle !== 'none') }
    })()`)
    const { isThere, isSeen, name } = z
      .object({ isThere: z.boolean(), isSeen: z.boolean(), name: z.string() })
      .parse(stop)
    assert.ok(isSeen, `${name} has the focus and does not show it`)
    if (isThere) return
  }
  assert.fail(`Tab does not reach ${selector}`)
}

test('Everything can be done with the keyboard alone', async (t) => {
  shared ??= startNodeFor(scope)
  const { url } = await shared
  const { page } = await openPage(t, url, { permissions: ['clipboard-read', 'clipboard-write'] })
  // Before the first key, as the browser has to hear of it in time.
  const chooser = page.waitForEvent('filechooser')
  await tabTo(page, '#file')
  await page.keyboard.press('Enter')
  await (await chooser).setFiles([MOUNTAINS, fixturePath('fig-alpha.png')])
  await page.getByLabel('Upload token').waitFor()
  await page.keyboard.type(TOKEN)
  await page.keyboard.press('Enter')
  await uploadRow(page, 'mountains.jpg', /tored: /)
  await uploadRow(page, 'fig-alpha.png', /tored: /)
  await rendition(page, 1)
  await tabTo(page, '#upload-list li:nth-child(2) button')
  await page.keyboard.press('Enter')
  await page.getByText('240 × 180 pixels').waitFor()
  await tabTo(page, '#width')
  await page.keyboard.type('120')
  await tabTo(page, '#height')
  await page.keyboard.type('120')
  await tabTo(page, '#fit')
  await page.keyboard.type('cov')
  await tabTo(page, '#position')
  await page.keyboard.type('focal')
  await tabTo(page, '#x')
  await page.keyboard.type('30')
  await tabTo(page, '#gray')
  await page.keyboard.press('Space')
  await page.keyboard.press('Enter')
  await page.locator('#rendition-list a', { hasText: '120s,at30x50,gray' }).waitFor()
  await tabTo(page, 'input[name=view]')
  await page.keyboard.press('ArrowRight')
  await untilTrue(page, `document.getElementById('compare').dataset.view === 'beside'`)
  await tabTo(page, '[data-of=tag]')
  await page.keyboard.press('Enter')
  await page.getByRole('status').filter({ hasText: 'copied' }).waitFor()
  const copied = await page.evaluate('navigator.clipboard.readText()')
  assert.equal(copied, await page.inputValue('#tag'))
})

/** Without an input of the user, whose layout shifts would not count. */
const SUBMIT = `document.getElementById('builder').requestSubmit()`

for (const width of [1280, 390]) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`At ${width} pixels, ${colorScheme}, nothing moves, nothing is cut off, and axe-core finds nothing`, async (t) => {
      const { page } = await openShared(t, { viewport: { width, height: 900 }, colorScheme })
      assert.deepEqual(await accessibilityFaults(page), [])
      const text = { bytes: Buffer.from('not a picture'), name: 'notes.txt', type: 'text/plain' }
      await page.setInputFiles('#file', [MOUNTAINS, fixturePath('fig-alpha.png'), fixturePath('dandelion.gif')])
      await rendition(page, 1)
      await drop(page, [text])
      await uploadRow(page, 'notes.txt', /not an image/)
      for (const [index, spec] of ['200s.png', '300w400h,cover,q30'].entries()) {
        await page.getByLabel('Size specification').fill(spec)
        await page.evaluate(SUBMIT)
        await rendition(page, index + 2)
      }
      await page.getByLabel('Size specification').fill('400w,cover')
      await page.evaluate(SUBMIT)
      await page.getByRole('alert').filter({ hasText: 'requires a width and a height' }).waitFor()
      await untilTrue(page, `document.getElementById('metadata').textContent !== ''`)
      assert.deepEqual(await layoutShifts(page), [])
      assert.deepEqual(await clippedTexts(page), [])
      assert.deepEqual(await accessibilityFaults(page), [])
      await page.getByText('URLs and documentation').click()
      await page.getByRole('button', { name: 'Upload token …' }).click()
      assert.deepEqual(await accessibilityFaults(page), [])
      assert.deepEqual(await layoutShifts(page), [])
    })
  }
}
