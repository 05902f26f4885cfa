import assert from 'node:assert/strict'
import type { Browser } from 'playwright-core'
import { z } from 'zod'

/** Windows that a page is opened in: CSS pixels, and device pixels in one of them. */
const SCREENS = [
  { width: 1280, density: 1 },
  { width: 1280, density: 2 },
  { width: 390, density: 2 },
] as const

const Shown = z.object({
  shift: z.number(),
  images: z.array(
    z.object({ alt: z.string(), url: z.string(), width: z.number(), height: z.number(), pixels: z.number() }),
  ),
})

/** An image of a page, as the browser shows it. */
export interface ShownImage {
  readonly alt: string
  /** The URL that the browser chose. */
  readonly url: string
  /** CSS pixels, as laid out. */
  readonly width: number
  readonly height: number
  /** Width of the loaded file in pixels, without the density of `srcset`; 0 if it did not load. */
  readonly pixels: number
}

interface Screen {
  readonly width: number
  readonly density: number
}

/**
 * Opens a page in a context of its own, and loads lazy images too.
 *
 * @returns Its images in the order of the document.
 * @throws AssertionError if something on the page moves, or its console has an error.
 */
export async function imagesOf(
  browser: Browser,
  url: string,
  screen: Screen = SCREENS[0],
): Promise<readonly ShownImage[]> {
  for (;;) {
    const { images, shift, errors } = await look(browser, url, screen)
    // Chromium gives up all that it loads when an interface of the machine comes or goes, such as one of Docker.
    if (errors.some((error) => error.includes('ERR_NETWORK_CHANGED'))) continue
    assert.deepEqual([errors, shift], [[], 0], `${url} at ${screen.width} px, density ${screen.density}`)
    return images
  }
}

async function look(browser: Browser, url: string, { width, density }: Screen) {
  const tab = await browser.newPage({ viewport: { width, height: 800 }, deviceScaleFactor: density })
  const errors: string[] = []
  tab.on('pageerror', (error) => errors.push(error.message))
  tab.on('console', (message) => {
    const isIcon = message.location().url.endsWith('/favicon.ico')
    if (message.type() === 'error' && !isIcon) errors.push(message.text())
  })
  const response = await tab.goto(url, { waitUntil: 'load' })
  assert.equal(response?.status(), 200, url)
  const { shift, images } = Shown.parse(
    await tab.evaluate(`(async () => {
      let shift = 0
      const add = (entries) => entries.forEach(({ value }) => { shift += value })
      const observer = new PerformanceObserver((list) => add(list.getEntries()))
      observer.observe({ type: 'layout-shift', buffered: true })
      const images = [...document.images]
      for (const image of images) image.loading = 'eager'
      await Promise.all(images.map((image) => image.decode().catch(() => {})))
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
      add(observer.takeRecords())
      const measured = await Promise.all(images.map(async (image) => {
        const alone = new Image()
        alone.src = image.currentSrc
        await alone.decode().catch(() => {})
        const { width, height } = image.getBoundingClientRect()
        return { alt: image.alt, url: image.currentSrc, width, height, pixels: alone.naturalWidth }
      }))
      return { shift, images: measured }
    })()`),
  )
  await tab.close()
  return { images, shift, errors }
}

/**
 * Opens a page in several windows. Each image must have enough pixels for its slot, and not many more than the next step
 * of its srcset has.
 *
 * @param originalWidth Of the picture: no URL makes it wider.
 * @returns The images in the first window, of 1280 pixels with density 1.
 */
export async function assertImagesFit(browser: Browser, url: string, originalWidth: number) {
  for (const screen of SCREENS) {
    for (const image of await imagesOf(browser, url, screen)) {
      const needed = Math.min(image.width * screen.density, originalWidth)
      const message = `${screen.width} px, density ${screen.density}: ${image.url} has ${image.pixels} pixels for ${needed}`
      assert.ok(image.pixels >= needed && image.pixels <= Math.max(640, needed * 1.35), message)
    }
  }
  return await imagesOf(browser, url)
}
