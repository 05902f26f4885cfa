import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { z } from 'zod'
import { freePort } from '../../tools/processes/free-port.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { type Darkroom, fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

const ORIGIN = 'http://127.0.0.1:8080'
const ROOT = resolve(import.meta.dirname, '../..')
/** The host of the recipe for remote pictures. */
const REMOTE_ORIGIN = 'https://images.example.com'

/** The specs that a window of 1280 pixels and one of a phone of 390 pixels with twice the density load, by recipe. */
type Expected = Readonly<Record<string, { readonly desktop: string; readonly phone: string }>>

const EXPECTED: Expected = {
  'A responsive img': { desktop: '800w', phone: '800w' },
  'A card of a fixed width': { desktop: '300w', phone: '300w,2x' },
  'An avatar': { desktop: '96s,smart', phone: '96s,smart,2x' },
  'Art direction with picture': { desktop: '800w', phone: '400w600h,cover,at40x60' },
  'Formats with picture': { desktop: '800w.avif', phone: '800w.avif' },
  'A placeholder': { desktop: '800w', phone: '800w' },
  'A CSS background with image-set': { desktop: '800w300h,cover', phone: '800w300h,cover,2x' },
}

/** Those of README.md. */
const EXPECTED_FIRST: Expected = {
  'A responsive image': { desktop: '800w', phone: '800w' },
  'A square crop': { desktop: '200s,at40x60', phone: '200s,at40x60,2x' },
  'A colour until the picture arrives': { desktop: '800w', phone: '800w' },
}

const Loaded = z.object({ urls: z.array(z.string()), broken: z.array(z.string()), tooWide: z.array(z.string()) })

interface Recipe {
  readonly name: string
  readonly html: string
}

test('Each recipe of docs/recipes/html.md loads the picture that fits the window and its screen', async (t) => {
  const node = await startNodeFor(t)
  const recipes = await htmlRecipes('docs/recipes/html.md', node.url)
  assert.deepEqual(
    recipes.map(({ name }) => name),
    [...Object.keys(EXPECTED), 'A preview for social networks'],
  )
  await assertLoads(t, { node, recipes, expected: EXPECTED })
})

test('Each recipe of README.md loads the picture that fits the window and its screen', async (t) => {
  const site = await startRemoteSite(t)
  site.pages.set('/cat.jpg', { body: await fixture('mountains.jpg') })
  const node = await startNodeFor(t, { env: site.env })
  const host = encodeURIComponent(site.origin)
  const recipes = (await htmlRecipes('README.md', node.url)).map(({ name, html }) => ({
    name,
    html: html.replace(encodeURIComponent(REMOTE_ORIGIN), host),
  }))
  const remote = `${node.url}/image?url=${host}%2Fcat.jpg&size=400w`
  const expected = { ...EXPECTED_FIRST, 'A picture that is on another host': { desktop: remote, phone: remote } }
  assert.deepEqual(
    recipes.map(({ name }) => name),
    Object.keys(expected),
  )
  await assertLoads(t, { node, recipes, expected })
})

test('The preview for social networks is a JPEG of the size that it states', async (t) => {
  const node = await startNodeFor(t)
  await uploadFixture(node.url, 'mountains.jpg')
  const recipes = await htmlRecipes('docs/recipes/html.md', node.url)
  const preview = recipes.find(({ name }) => name === 'A preview for social networks')
  const url = /og:image" content="(?<url>[^"]+)"/.exec(preview?.html ?? '')?.groups?.['url'] ?? ''
  const { format, width, height } = await sharp(await (await fetch(url)).arrayBuffer()).metadata()
  assert.deepEqual([format, width, height], ['jpeg', 1200, 630])
})

/** Opens each recipe on both screens: it loads exactly the URL that is expected, and no picture is broken. */
async function assertLoads(
  t: TestContext,
  {
    node,
    recipes,
    expected,
  }: { readonly node: Darkroom; readonly recipes: readonly Recipe[]; readonly expected: Expected },
): Promise<void> {
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const origin = await servePages(
    t,
    recipes.map(({ html }) => html),
  )
  const browser = await launchBrowser(t)
  const screens = {
    desktop: { viewport: { width: 1280, height: 900 } },
    phone: { viewport: { width: 390, height: 800 }, deviceScaleFactor: 2 },
  } as const
  for (const [index, { name }] of recipes.entries()) {
    for (const screen of ['desktop', 'phone'] as const) {
      // A context of its own: pictures that the browser has in memory count as loaded.
      const tab = await browser.newPage(screens[screen])
      await tab.goto(`${origin}/${index}`)
      const loaded = Loaded.parse(
        await tab.evaluate(`(async () => {
          const images = [...document.images]
          await Promise.all(images.map((image) => image.decode().catch(() => {})))
          return {
            urls: performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.includes('/image')),
            broken: images.filter(({ naturalWidth }) => naturalWidth === 0).map(({ src }) => src),
            // Wider than the window, or than the pixels that were loaded for it.
            tooWide: images
              .filter((image) => image.width > Math.min(innerWidth, image.naturalWidth))
              .map(({ currentSrc, width, naturalWidth }) => width + ' px of ' + naturalWidth + ': ' + currentSrc),
          }
        })()`),
      )
      const spec = expected[name]?.[screen]
      const urls = spec === undefined ? [] : [new URL(spec, `${node.url}/image/${id}/`).href]
      assert.deepEqual(loaded.urls, urls, `${name}, ${screen}`)
      assert.deepEqual(loaded.broken, [], `${name}, ${screen}`)
      assert.deepEqual(loaded.tooWide, [], `${name}, ${screen}`)
      await tab.close()
    }
  }
}

/** Serves page N at `/N`. @returns the origin. */
async function servePages(t: TestContext, pages: readonly string[]): Promise<string> {
  const server = createServer((request, response) => {
    const html = pages[Number(request.url?.slice(1))] ?? ''
    response.setHeader('Content-Type', 'text/html')
    response.end(`<!doctype html><meta name="viewport" content="width=device-width">${html}`)
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${port}`
}

/** The first HTML block of each section of a page that has one, with the address of a node instead of the documented one. */
async function htmlRecipes(page: string, url: string): Promise<readonly Recipe[]> {
  const sections = (await readFile(join(ROOT, page), 'utf8')).split(/^##+ /m).slice(1)
  return sections.flatMap((section) => {
    const { name, html } = /^(?<name>.*)\n[^]*?```html\n(?<html>[^]*?)```/.exec(section)?.groups ?? {}
    return name === undefined || html === undefined ? [] : [{ name, html: html.replaceAll(ORIGIN, url) }]
  })
}
