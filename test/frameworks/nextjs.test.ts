import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { assertNoSecrets, installExample } from '../support/example-app.ts'
import { assertImagesFit, imagesOf } from '../support/page-images.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const KEY = 'a-url-key-for-tests-only'
const ID = '82343c717326f81108374e694e36782edb04a441'
const START = ['next', 'start', '--hostname', '127.0.0.1'] as const

test('docs/recipes/nextjs.md shows the code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/nextjs.md', 'examples/nextjs')
})

test('The Next.js example', async (t) => {
  const page = await readFile(join(ROOT, 'docs/recipes/nextjs.md'), 'utf8')
  const SIZES = /SIZES="(?<sizes>[^"]+)"/.exec(page)?.groups?.['sizes'] ?? ''
  const listed = await startNodeFor(t, { env: { SIZE_POLICY: 'list', SIZES } })
  const signed = await startNodeFor(t, { env: { SIZE_POLICY: 'signed', URL_KEYS: KEY } })
  const secrets = { DARKROOM_TOKEN: TOKEN, DARKROOM_URL_KEY: KEY }
  const app = await installExample(t, 'nextjs')
  await app.run('build', { NEXT_PUBLIC_DARKROOM_URL: listed.url, DARKROOM_URL: listed.url, ...secrets })
  const browser = await launchBrowser(t)

  await t.test('uploads a picture, and shows it with widths that the node allows', async () => {
    const site = await app.start(START, { DARKROOM_URL: listed.url, ...secrets })
    const tab = await browser.newPage()
    await tab.goto(site)
    await tab.setInputFiles('input', join(ROOT, 'test/fixtures/mountains.jpg'))
    await tab.click('button')
    await tab.waitForURL(`${site}/pictures/${ID}`)
    await tab.close()
    // Next.js removes the placeholder when the picture is there.
    const html = await (await fetch(`${site}/pictures/${ID}`)).text()
    assert.match(html, /background-image:url\([^)]*data:image\/svg\+xml[^"]*data:image\/png;base64,\w/)
    const images = await assertImagesFit(browser, `${site}/pictures/${ID}`, 1200)
    assert.deepEqual(
      images.map(({ url, width, height }) => [url, width, height]),
      [
        [`${listed.url}/image/${ID}/828w`, 800, 600],
        [`${listed.url}/image/${ID}/384w`, 300, 225],
      ],
    )
  })

  await t.test('says why an upload is refused, and that a picture is unknown', async () => {
    const site = await app.start(START, { DARKROOM_URL: listed.url, ...secrets })
    const form = new FormData()
    form.set('picture', new Blob(['no picture']), 'photo.jpg')
    const refused = await fetch(`${site}/upload`, { method: 'POST', body: form })
    assert.equal(refused.status, 415)
    for (const id of ['0'.repeat(40), 'x', `${ID}%2foriginal`]) {
      assert.equal((await fetch(`${site}/pictures/${id}`)).status, 404, id)
    }
  })

  await t.test('signs URLs on the server, and gives neither the key nor the token to a browser', async () => {
    await uploadFixture(signed.url, 'mountains.jpg')
    const site = await app.start(START, { DARKROOM_URL: signed.url, ...secrets })
    const [image] = await imagesOf(browser, `${site}/signed/${ID}`)
    assert.match(image?.url ?? '', new RegExp(`^${signed.url}/image/${ID}/828w\\?s=[\\w-]{43}$`))
    assert.equal(image?.pixels, 828)
    const html = await (await fetch(`${site}/signed/${ID}`)).text()
    assert.ok(!html.includes(KEY) && !html.includes(TOKEN))
    await assertNoSecrets(join(app.folder, '.next/static'), [KEY, TOKEN])
  })
})
