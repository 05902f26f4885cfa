import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { wellDescribed } from '../../tools/pictures/metadata.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { ensureFtpClients } from '../../tools/servers/install-servers.ts'
import { TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { installIndexer, untilSo } from '../support/indexer-example.ts'
import { startScript } from '../support/npm-script.ts'
import { imagesOf } from '../support/page-images.ts'

const NAME = 'mountains in the morning.jpg'

test('A photograph that lftp uploads is found by its camera, with a thumbnail', async (t) => {
  const { lftp } = await ensureFtpClients()
  const folder = await temporaryFolder(t)
  const url = `http://127.0.0.1:${await freePort()}`
  const store = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  const node = startScript(t, ['start'], { ...store, PORT: new URL(url).port, UPLOAD_TOKENS: TOKEN })
  await node.untilSaid(/"msg":"listening"/)
  const ftp = startScript(t, ['run', 'ftp', '--', '--url', url], { DARKROOM_TOKEN: TOKEN })
  const [, command = ''] = await ftp.untilSaid(/^ *(lftp .+)$/m)
  const start = await installIndexer(t, url)
  const indexer = await start()

  await writeFile(join(folder, NAME), await wellDescribed(await fixture('mountains.jpg')))
  // The command that npm run ftp prints, with this photograph.
  const own = command.replace(/put \S+;/, `put "${join(folder, NAME)}";`)
  await runQuietly('sh', ['-c', own], { ...process.env, PATH: `${dirname(lftp)}:${process.env['PATH'] ?? ''}` })
  const began = performance.now()
  await untilSo(async () => (await indexer.search('camera:"Fixture One"')).length === 1, 'found by its camera')
  t.diagnostic(`found ${Math.round(performance.now() - began)} ms after the end of the transfer`)

  const browser = await launchBrowser(t)
  const page = `${indexer.url}/?q=fixture`
  for (const density of [1, 2]) {
    const images = await imagesOf(browser, page, { width: 1280, density })
    assert.equal(images.length, 1)
    assert.ok(images.every(({ pixels, url: shown }) => pixels > 0 && shown.startsWith(`${url}/image/`)))
  }
  const tab = await browser.newPage({ viewport: { width: 1280, height: 600 } })
  await tab.goto(page)
  const text = await tab.innerText('main')
  for (const part of [NAME, 'Darkroom Fixture One', '2026-05-04', 'camera']) assert.ok(text.includes(part), text)
  const { DARKROOM_SCREENSHOTS: screenshots } = process.env
  if (screenshots === undefined) return
  await mkdir(screenshots, { recursive: true })
  for (const colorScheme of ['light', 'dark'] as const) {
    await tab.emulateMedia({ colorScheme })
    await tab.screenshot({ path: resolve(screenshots, `indexer-${colorScheme}.png`) })
  }
})
