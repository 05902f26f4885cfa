import assert from 'node:assert/strict'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { assertNoSecrets, installExample } from '../support/example-app.ts'
import { assertImagesFit } from '../support/page-images.ts'

const FIXTURE = resolve(import.meta.dirname, '../fixtures/mountains.jpg')
const ID = '82343c717326f81108374e694e36782edb04a441'

test('docs/recipes/nuxt.md shows the code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/nuxt.md', 'examples/nuxt')
})

test('The Nuxt example', async (t) => {
  const node = await startNodeFor(t, { env: { DIALECTS: 'ipx=/_ipx', IPX_BASE: 'image/' } })
  const app = await installExample(t, 'nuxt')
  await app.run('build', { NUXT_DARKROOM_TOKEN: TOKEN, DARKROOM_IPX_URL: `${node.url}/_ipx` })
  const env = { NUXT_PUBLIC_DARKROOM_URL: node.url, NUXT_DARKROOM_TOKEN: TOKEN }
  const site = await app.start([process.execPath, '.output/server/index.mjs'], env)
  const browser = await launchBrowser(t)

  await t.test('uploads a picture, and shows it with its provider in sizes that fit', async () => {
    const tab = await browser.newPage()
    await tab.goto(site)
    await tab.setInputFiles('input', FIXTURE)
    await tab.click('button')
    await tab.waitForURL(`${site}/pictures/${ID}`)
    await tab.close()
    const images = await assertImagesFit(browser, `${site}/pictures/${ID}`, 1200)
    assert.deepEqual(
      images.map(({ url, width, height }) => [url, width, height]),
      [
        [`${node.url}/image/${ID}/800w600h,cover`, 800, 600],
        [`${node.url}/image/${ID}/300s`, 300, 300],
        [`${node.url}/image/${ID}/400w300h,cover.avif`, 400, 300],
      ],
    )
  })

  await t.test('shows a picture through the ipx provider of Nuxt Image', async () => {
    const images = await assertImagesFit(browser, `${site}/ipx/${ID}`, 1200)
    assert.deepEqual(
      images.map(({ url, pixels }) => [url, pixels]),
      [[`${node.url}/_ipx/f_webp&s_400x300/${ID}`, 400]],
    )
  })

  await t.test('says why an upload is refused, and that a picture is unknown', async () => {
    const form = new FormData()
    form.set('picture', new Blob(['no picture']), 'photo.jpg')
    const refused = await fetch(`${site}/api/pictures`, { method: 'POST', body: form })
    assert.equal(refused.status, 415)
    assert.match(await refused.text(), /not a supported|format/i)
    for (const id of ['0'.repeat(40), 'x', `${ID}%2foriginal`]) {
      assert.equal((await fetch(`${site}/pictures/${id}`)).status, 404, id)
    }
  })

  await t.test('gives the token to no browser', async () => {
    await assertNoSecrets(join(app.folder, '.output/public'), [TOKEN])
    assert.ok(!(await (await fetch(`${site}/pictures/${ID}`)).text()).includes(TOKEN))
  })
})
