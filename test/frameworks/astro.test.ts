import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { assertNoSecrets, installExample } from '../support/example-app.ts'
import { assertImagesFit, imagesOf } from '../support/page-images.ts'

const KEY = 'a-url-key-for-tests-only'
const PREVIEW = ['sh', '-c', 'exec astro preview --host 127.0.0.1 --port "$PORT"'] as const

test('docs/recipes/astro.md shows the code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/astro.md', 'examples/astro')
})

test('The Astro example', async (t) => {
  const open = await startNodeFor(t)
  const signed = await startNodeFor(t, { env: { SIZE_POLICY: 'signed', URL_KEYS: KEY } })
  for (const { url } of [open, signed]) await uploadFixture(url, 'mountains.jpg')
  const app = await installExample(t, 'astro')
  const browser = await launchBrowser(t)
  await app.run('build', { DARKROOM_URL: open.url })
  // It serves the files of the last build: Astro starts one at a time.
  const site = await app.start(PREVIEW)

  await t.test('builds a site whose pictures fit their slots and the density of the screen', async () => {
    const images = await assertImagesFit(browser, site, 1200)
    const sizes = images.map(({ width, height }) => [width, height])
    assert.deepEqual(sizes, [
      [800, 600],
      [300, 300],
      [400, 300],
    ])
    const urls = images.map(({ url }) => url.slice(url.lastIndexOf('/')))
    assert.deepEqual(urls, ['/800w600h,cover', '/300s', '/400w300h,cover.avif'])
  })

  await t.test('signs its URLs in the build, and has neither the key nor the token in its files', async () => {
    await app.run('build', { DARKROOM_URL: signed.url, DARKROOM_URL_KEY: KEY, DARKROOM_TOKEN: TOKEN })
    const images = await imagesOf(browser, site)
    assert.equal(images.length, 3)
    for (const { url, pixels } of images) {
      assert.match(url, /\?s=[\w-]{43}$/)
      assert.notEqual(pixels, 0, url)
    }
    await assertNoSecrets(join(app.folder, 'dist'), [KEY, TOKEN])
  })
})
