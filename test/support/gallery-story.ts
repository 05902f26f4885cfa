import assert from 'node:assert/strict'
import type { Page } from 'playwright-core'
import { noisePicture } from '../../tools/pictures/picture.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { ask } from '../../tools/requests/ask.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { type Darkroom, fixture } from '../../tools/servers/darkroom.ts'
import { assertImageFits, loadedImages } from './framework-page.ts'

const ID = '82343c717326f81108374e694e36782edb04a441'

/** A site that an example of a framework serves. */
export interface Gallery {
  /** The page with the form whose pictures Darkroom stores. */
  readonly pictures: string
  /** The page with the form whose files the framework stores in a bucket. */
  readonly photos: string
  /** The node that serves the pictures. */
  readonly node: Pick<Darkroom, 'url' | 'stop'>
}

/**
 * What a visitor does with a gallery, in Chromium: uploads by both forms, wrong files too, and deletions. Every URL of every
 * `<img>` is requested. In the end the node is stopped.
 */
export async function assertGallery(t: Scope, { pictures, photos, node }: Gallery): Promise<void> {
  const browser = await launchBrowser(t)
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })

  await page.goto(pictures)
  assert.deepEqual(await loadedImages(page), [])
  const picture = await fixture('mountains.jpg')
  await upload(page, picture, 'Mountains & "more"')
  const [mountains] = await loadedImages(page)
  assert.ok(mountains, await page.innerText('body'))
  const { alt, width, height, naturalWidth, sizes } = mountains
  assert.deepEqual(
    { alt, width, height, naturalWidth, sizes },
    {
      alt: 'Mountains & "more"',
      width: 1200,
      height: 900,
      naturalWidth: 800,
      sizes: '(max-width: 800px) 100vw, 800px',
    },
  )
  const urls = await assertImageFits(mountains)
  assert.deepEqual(
    urls.map((url) => url.replace(/\?s=[\w-]{43}$/, '')),
    ['1200w', '400w', '800w', '1200w'].map((spec) => `${node.url}/image/${ID}/${spec}`),
  )

  const large = await noisePicture(1, 800, 600)
  const refused = [
    [Buffer.from('no picture'), 'This is not an image in a supported format'],
    [picture.subarray(0, 20_000), 'damaged or incomplete'],
    [large.bytes, 'MAX_UPLOAD_BYTES'],
  ] as const
  for (const [bytes, message] of refused) {
    await upload(page, bytes, 'Refused')
    const text = await page.innerText('body')
    assert.ok(text.includes(message), text)
  }
  await page.goto(pictures)
  assert.equal((await loadedImages(page)).length, 1)

  // The same bytes twice are one image, which goes with the second of its rows.
  await upload(page, picture, 'Again')
  assert.equal((await loadedImages(page)).length, 2)
  await page.getByRole('button', { name: 'Delete' }).first().click()
  await page.waitForURL(pictures)
  assert.equal((await loadedImages(page)).length, 1)
  await assertImageFits(mountains)
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.waitForURL(pictures)
  assert.deepEqual(await loadedImages(page), [])
  assert.equal((await ask(mountains.src)).status, 410)

  await page.goto(photos)
  await upload(page, await fixture('mountains-orientation-6.jpg'), 'On its side')
  const [photo] = await loadedImages(page)
  assert.ok(photo, await page.innerText('body'))
  assert.deepEqual([photo.alt, photo.width, photo.height], ['On its side', 1200, 900])
  for (const url of await assertImageFits(photo)) assert.ok(url.startsWith(`${node.url}/s3/photos/`), url)

  // With the node down, a new picture is refused, and a row can be deleted all the same.
  await page.goto(pictures)
  await upload(page, picture, 'The last')
  assert.equal((await loadedImages(page)).length, 1)
  await node.stop()
  await upload(page, picture, 'Too late')
  assert.match(await page.innerText('body'), /Pictures are not available at the moment/)
  await page.goto(pictures)
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.waitForURL(pictures)
  assert.equal(await page.getByRole('button', { name: 'Delete' }).count(), 0)
}

async function upload(page: Page, buffer: Buffer, alt: string): Promise<void> {
  await page.locator('input[name*="alt"]').fill(alt)
  const file = { name: 'picture.jpg', mimeType: 'image/jpeg', buffer }
  await page.locator('input[type="file"]').setInputFiles(file)
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Upload' }).click()])
}
