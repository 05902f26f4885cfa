import type { TestContext } from 'node:test'
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { z } from 'zod'
import type { Scope } from '../../tools/processes/scope.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'

const WAIT_MS = 15_000

export interface OpenedPage {
  readonly page: Page
  /** What the browser complained of so far: scripts, policy, resources. */
  readonly complaints: readonly string[]
}

export type OpenPage = (t: TestContext, link: string, options?: BrowserContextOptions) => Promise<OpenedPage>

/** Opens links in one browser, each with storage of its own. @param scope Of the browser. */
export function pageOpener(scope: Scope): OpenPage {
  let browser: Promise<Browser> | undefined
  return async (t, link, options = {}) => {
    browser ??= launchBrowser(scope)
    return await openIn(await browser, t, link, options)
  }
}

async function openIn(
  browser: Browser,
  t: TestContext,
  link: string,
  options: BrowserContextOptions,
): Promise<OpenedPage> {
  const context = await browser.newContext(options)
  t.after(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT_MS)
  await page.addInitScript(`
    window.shifts = []
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput, sources } of list.getEntries())
        if (!hadRecentInput) shifts.push(value + ': ' + sources.map(({ node }) => node?.id || node?.outerHTML?.slice(0, 80)))
    }).observe({ type: 'layout-shift', buffered: true })`)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  await page.goto(link)
  return { page, complaints }
}

export interface DroppedFile {
  readonly bytes: Buffer
  readonly name: string
  readonly type: string
}

/** Drops files on the page, all at once. */
export async function drop(page: Page, files: readonly DroppedFile[]): Promise<void> {
  const encoded = files.map(({ bytes, name, type }) => ({ name, type, bytes: bytes.toString('base64') }))
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    for (const { bytes, name, type } of ${JSON.stringify(encoded)})
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0))], name, { type }))
    return transfer
  })()`)
  await page.dispatchEvent('#drop', 'drop', { dataTransfer })
}

/** Text of a row of the uploads, once it has this state. */
export async function uploadRow(page: Page, name: string, state: RegExp): Promise<void> {
  await page.locator('#upload-list li', { hasText: name }).filter({ hasText: state }).waitFor()
}

/** Waits until the list has so many renditions, and the page shows the last one. @returns its row. */
export async function rendition(page: Page, count: number): Promise<string> {
  const row = page.locator('#rendition-list li').nth(count - 1)
  await row.waitFor()
  await untilTrue(page, `document.getElementById('picture').naturalWidth > 0`)
  return await row.innerText()
}

/** Waits for a condition in the page. Playwright's own function needs `eval`, which the policy of the page forbids. */
export async function untilTrue(page: Page, condition: string): Promise<void> {
  await page.evaluate(`new Promise((resolve) => {
    const look = () => (${condition} ? resolve() : setTimeout(look, 20))
    look()
  })`)
}

/** RGBA at a pixel of the shown rendition. */
export async function shownPixel(page: Page, x: number, y: number): Promise<readonly number[]> {
  const pixel: unknown = await page.evaluate(`(async () => {
    const picture = document.getElementById('picture')
    await picture.decode()
    const context = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight).getContext('2d')
    context.drawImage(picture, 0, 0)
    return [...context.getImageData(${x}, ${y}, 1, 1).data]
  })()`)
  return z.array(z.number()).parse(pixel)
}

/** Layout shifts without a recent input, with their elements. */
export async function layoutShifts(page: Page): Promise<readonly string[]> {
  const shifts: unknown = await page.evaluate(`new Promise((resolve) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(shifts)))))`)
  return z.array(z.string()).parse(shifts)
}

const Violations = z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) }))

/** Rules of axe-core that the page breaks, all of its tags, with the elements. */
export async function accessibilityFaults(page: Page): Promise<readonly string[]> {
  const source = `${axe.source}; axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)`
  const violations = Violations.parse(await page.evaluate(source))
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

/** Elements whose text is cut off, and a page that is wider than its window. */
export async function clippedTexts(page: Page): Promise<readonly string[]> {
  const clipped: unknown = await page.evaluate(`[
    ...[...document.querySelectorAll('label, legend, button, summary, h1, h2, h3, p, dd, select')]
      .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      .map((element) => element.outerHTML.slice(0, 120)),
    ...(document.documentElement.scrollWidth > innerWidth ? ['the page'] : []),
  ]`)
  return z.array(z.string()).parse(clipped)
}
