import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { resolve } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { z } from 'zod'
import { freePort } from '../../tools/processes/free-port.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

const ORIGIN = 'http://127.0.0.1:8080'
const PAGE = resolve(import.meta.dirname, '../../docs/recipes/html.md')

/** The widths that a window of 1280 pixels and one of a phone of 390 pixels with twice the density load, by recipe. */
const EXPECTED: Readonly<Record<string, { readonly desktop: string; readonly phone: string }>> = {
  'A responsive img': { desktop: '800w', phone: '800w' },
  'A card of a fixed width': { desktop: '300w', phone: '300w,2x' },
  'An avatar': { desktop: '96s,smart', phone: '96s,smart,2x' },
  'Art direction with picture': { desktop: '800w', phone: '400w600h,cover,at40x60' },
  'Formats with picture': { desktop: '800w.avif', phone: '800w.avif' },
  'A placeholder': { desktop: '800w', phone: '800w' },
  'A CSS background with image-set': { desktop: '800w300h,cover', phone: '800w300h,cover,2x' },
}

const Loaded = z.object({ urls: z.array(z.string()), broken: z.array(z.string()) })

test('Each recipe of docs/recipes/html.md loads the picture that fits the window and its screen', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const recipes = await htmlRecipes(node.url)
  assert.deepEqual(
    recipes.map(({ name }) => name),
    [...Object.keys(EXPECTED), 'A preview for social networks'],
  )
  const pages = new Map(recipes.map(({ html }, index) => [`/${index}`, html]))
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end(
      `<!doctype html><meta name="viewport" content="width=device-width">${pages.get(request.url ?? '') ?? ''}`,
    )
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())

  const browser = await launchBrowser(t)
  const screens = {
    desktop: { viewport: { width: 1280, height: 900 } },
    phone: { viewport: { width: 390, height: 800 }, deviceScaleFactor: 2 },
  } as const
  for (const [index, { name }] of recipes.entries()) {
    for (const screen of ['desktop', 'phone'] as const) {
      // A context of its own: pictures that the browser has in memory count as loaded.
      const tab = await browser.newPage(screens[screen])
      await tab.goto(`http://127.0.0.1:${port}/${index}`)
      const loaded = Loaded.parse(
        await tab.evaluate(`(async () => {
          const images = [...document.images]
          await Promise.all(images.map((image) => image.decode().catch(() => {})))
          return {
            urls: performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.includes('/image/')),
            broken: images.filter(({ naturalWidth }) => naturalWidth === 0).map(({ src }) => src),
          }
        })()`),
      )
      const expected = EXPECTED[name]?.[screen]
      assert.deepEqual(
        loaded.urls,
        expected === undefined ? [] : [`${node.url}/image/${id}/${expected}`],
        `${name}, ${screen}`,
      )
      assert.deepEqual(loaded.broken, [], `${name}, ${screen}`)
      await tab.close()
    }
  }
})

test('The preview for social networks is a JPEG of the size that it states', async (t) => {
  const node = await startNodeFor(t)
  await uploadFixture(node.url, 'mountains.jpg')
  const preview = (await htmlRecipes(node.url)).find(({ name }) => name === 'A preview for social networks')
  const url = /og:image" content="(?<url>[^"]+)"/.exec(preview?.html ?? '')?.groups?.['url'] ?? ''
  const { format, width, height } = await sharp(await (await fetch(url)).arrayBuffer()).metadata()
  assert.deepEqual([format, width, height], ['jpeg', 1200, 630])
})

async function htmlRecipes(url: string): Promise<readonly { readonly name: string; readonly html: string }[]> {
  const sections = (await readFile(PAGE, 'utf8')).split(/^## /m).slice(1)
  return sections.map((section) => {
    const { name = '', html = '' } = /^(?<name>.*)\n[^]*?```html\n(?<html>[^]*?)```/.exec(section)?.groups ?? {}
    return { name, html: html.replaceAll(ORIGIN, url) }
  })
}
