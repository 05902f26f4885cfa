import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { docCommands } from '../../tools/docs/doc-commands.ts'
import { commandOutput } from '../../tools/processes/process.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const EXAMPLE = 'examples/first-image'
const ORIGIN = 'http://127.0.0.1:8080'
const WAIT_MS = 60_000

test('The first-image example shows its picture in Chromium after the upload of its README', async (t) => {
  // Without UPLOAD_TOKENS a node on loopback saves a token of its own in its store's folder, which is what the command reads.
  const node = await startNodeFor(t, { env: { UPLOAD_TOKENS: '' } })
  const [start, upload = ''] = await docCommands(`${EXAMPLE}/README.md`, 'Run it')
  assert.equal(start, 'npm start\n')
  const command = upload.replace(ORIGIN, node.url).replace('@test/', `@${ROOT}/test/`)
  assert.ok(await commandOutput('sh', ['-c', `cd ${dirname(node.cacheDir)} && ${command}`]), command)

  const html = await readFile(join(ROOT, EXAMPLE, 'index.html'), 'utf8')
  const page = join(await temporaryFolder(t), 'index.html')
  await writeFile(page, html.replaceAll(ORIGIN, node.url))
  const browser = await launchBrowser(t)
  const tab = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  tab.setDefaultTimeout(WAIT_MS)
  await tab.goto(pathToFileURL(page).href)
  const shown: unknown = await tab.evaluate(`(async () => {
    const image = document.querySelector('img')
    await image.decode()
    return { from: image.currentSrc, width: image.naturalWidth, height: image.naturalHeight }
  })()`)
  const id = /[0-9a-f]{40}/.exec(html)?.[0] ?? ''
  assert.deepEqual(shown, { from: `${node.url}/image/${id}/800w`, width: 800, height: 600 })
})
