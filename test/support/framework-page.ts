import assert from 'node:assert/strict'
import type { Page } from 'playwright-core'
import { z } from 'zod'
import { decoded } from '../../tools/pictures/picture.ts'
import { ask } from '../../tools/requests/ask.ts'

const Images = z.array(
  z.object({
    src: z.string(),
    srcset: z.string(),
    sizes: z.string(),
    alt: z.string(),
    width: z.number(),
    height: z.number(),
    naturalWidth: z.number(),
  }),
)

/** An `<img>` of a page in Chromium; `width` and `height` are its attributes. */
export type PageImage = z.infer<typeof Images>[number]

/** The images of a page, once the browser has loaded them. Fails if one does not load. */
export async function loadedImages(page: Page): Promise<readonly PageImage[]> {
  const images = Images.parse(
    await page.evaluate(`(async () => {
      const images = [...document.images]
      for (const image of images) image.loading = 'eager'
      await Promise.all(images.map((image) => image.decode().catch(() => {})))
      return images.map((image) => ({
        src: image.src, srcset: image.srcset, sizes: image.sizes, alt: image.alt, naturalWidth: image.naturalWidth,
        width: Number(image.getAttribute('width')), height: Number(image.getAttribute('height')),
      }))
    })()`),
  )
  for (const { src, naturalWidth } of images) assert.notEqual(naturalWidth, 0, `The browser does not load ${src}`)
  return images
}

/**
 * Requests every URL of an `<img>`. Fails unless each is a whole picture of its stated width, and of the shape that the
 * attributes state.
 *
 * @returns the URLs.
 */
export async function assertImageFits({ src, srcset, width, height }: PageImage): Promise<readonly string[]> {
  const candidates = srcset.split(/,\s+/).map((candidate) => candidate.trim().split(/\s+/))
  const urls = [src]
  for (const [url = '', descriptor = ''] of candidates) {
    urls.push(url)
    const picture = await pictureAt(url)
    assert.equal(`${picture.width}w`, descriptor, url)
    assert.ok(Math.abs(picture.height - (picture.width * height) / width) <= 1, `${url}: ${JSON.stringify(picture)}`)
  }
  await pictureAt(src)
  return urls
}

async function pictureAt(url: string): Promise<{ readonly width: number; readonly height: number }> {
  const { status, body } = await ask(url)
  assert.equal(status, 200, `${url}: ${body.toString().slice(0, 300)}`)
  return await decoded(body)
}
