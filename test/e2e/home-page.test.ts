import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const MOUNTAINS = fileURLToPath(new URL('../fixtures/mountains.jpg', import.meta.url))
const WAIT_MS = 15_000

interface HomePage {
  readonly page: Page
  readonly url: string
  /** What the browser complained of so far: scripts, policy, resources. */
  readonly complaints: readonly string[]
}

/** @param linkOf The URL that is opened; by default the one with the token. */
async function openHomePage(
  t: TestContext,
  linkOf: (origin: string) => string = (origin) => `${origin}/#token=${TOKEN}`,
): Promise<HomePage> {
  const { url } = await startNodeFor(t)
  return { ...(await openPage(t, linkOf(url))), url }
}

async function openPage(t: TestContext, link: string): Promise<Omit<HomePage, 'url'>> {
  const browser = await launchBrowser(t)
  const page = await browser.newPage()
  page.setDefaultTimeout(WAIT_MS)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  await page.goto(link)
  return { page, complaints }
}

async function drop(page: Page, bytes: Buffer, name: string, type: string): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (character) => character.charCodeAt(0))
    transfer.items.add(new File([bytes], '${name}', { type: '${type}' }))
    return transfer
  })()`)
  await page.dispatchEvent('#drop', 'drop', { dataTransfer })
}

/** Waits for the tag, and until the picture that it names is shown. */
async function shownTag(page: Page): Promise<string> {
  const tag = page.locator('#tag')
  await tag.waitFor({ state: 'visible' })
  const width = await page.evaluate<number>(`(async () => {
    const picture = document.getElementById('picture')
    await picture.decode()
    return picture.naturalWidth
  })()`)
  assert.ok(width > 0)
  return await tag.inputValue()
}

test('A photograph dropped on the page comes back as a tag, and is shown', async (t) => {
  const { page, url, complaints } = await openHomePage(t)
  await drop(page, await fixture('mountains.jpg'), 'mountains.jpg', 'image/jpeg')
  const tag = await shownTag(page)
  assert.match(tag, /^<img src="http[^"]+" srcset="[^"]+" sizes="100vw" width="1200" height="900" alt="">$/)
  const urls = [...tag.matchAll(/https?:[^ ",]+/g)].map(([found]) => found)
  assert.ok(urls.length > 2)
  for (const found of urls) {
    assert.ok(found.startsWith(`${url}/image/`), 'each URL in the tag is whole')
    const response = await fetch(found)
    assert.equal(response.status, 200)
    await response.body?.cancel()
  }
  assert.match(await page.locator('#facts').innerText(), /1200 × 900 pixels/)
  assert.equal(await page.locator('#say').innerText(), 'Stored')
  assert.deepEqual(complaints, [])
})

test('The link that a bare node prints opens a page that uploads, and whose address shows no token', async (t) => {
  const folder = await temporaryFolder(t)
  const node = await startNodeFor(t, { env: { UPLOAD_TOKENS: '', STORE: `file:${folder}/data` } })
  const link = /^ {2}(?<link>http\S+#token=\S+)$/m.exec(await node.output())?.groups?.['link'] ?? ''
  const { page, complaints } = await openPage(t, link)
  assert.equal(page.url(), `${node.url}/`)
  const bytes = await fixture('mountains.jpg')
  await drop(page, bytes, 'mountains.jpg', 'image/jpeg')
  assert.ok((await shownTag(page)).includes(`${node.url}/image/`))
  // The tab remembers it without its address.
  await page.reload()
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText('Already stored').waitFor()
  assert.deepEqual(complaints, [])
  // A tab that was open before, with a token that is wrong.
  await page.evaluate(`sessionStorage.token = 'not-the-right-token'`)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText(/^Invalid token/).waitFor()
  await page.getByLabel('Token').fill('not-the-right-one-either')
  await page.goto(link)
  await page.waitForURL(`${node.url}/`)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText('Already stored').waitFor()
})

test('The page of a node that only serves says why it takes nothing', async (t) => {
  const { url } = await startNodeFor(t, { env: { UPLOAD_TOKENS: '', ACCEL_PREFIX: '/_renditions/' } })
  const { page } = await openPage(t, url)
  await page.setInputFiles('#file', MOUNTAINS)
  await page
    .getByText(/^Uploading requires a token, and no tokens are configured on this node: set UPLOAD_TOKENS/)
    .waitFor()
})

test('A photograph can be chosen as a file, once more too, and its tag copied', async (t) => {
  const { page, complaints } = await openHomePage(t)
  await page.setInputFiles('#file', MOUNTAINS)
  const tag = await shownTag(page)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.getByRole('button', { name: 'Copy tag' }).click()
  await page.getByText('Copied').waitFor()
  assert.equal(await page.evaluate('navigator.clipboard.readText()'), tag)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText('Already stored').waitFor()
  assert.deepEqual(complaints, [])
})

test('What is no picture is refused in words', async (t) => {
  const { page } = await openHomePage(t)
  await drop(page, Buffer.from('not a picture'), 'notes.txt', 'text/plain')
  await page.getByText(/^This is not an image in a supported format/).waitFor()
  assert.equal(await page.locator('#result').isVisible(), false)
  assert.equal(await page.locator('#bar').isVisible(), false)
})

test('An empty file is not sent, and the page says what to do', async (t) => {
  const { page, complaints } = await openHomePage(t)
  await drop(page, Buffer.alloc(0), 'empty.jpg', 'image/jpeg')
  await page.getByText('The file is empty: choose an image').waitFor()
  assert.equal(await page.locator('#bar').isVisible(), false)
  assert.deepEqual(complaints, [])
})

test('Where a token is needed the page asks for it, and sends the picture again with it', async (t) => {
  const { page, url, complaints } = await openHomePage(t, (origin) => origin)
  assert.equal(await page.locator('#token').isVisible(), false)
  // Large enough that the refusal comes while the picture is still being sent.
  const { bytes } = await noisePicture(1, 1500, 1000)
  await drop(page, bytes, 'noise.png', 'image/png')
  await page.getByText('Uploading requires a token').waitFor()
  await page.keyboard.type('not-the-right-token')
  await page.keyboard.press('Enter')
  await page.getByText(/^Invalid token/).waitFor()
  await page.getByLabel('Token').fill(TOKEN)
  await page.keyboard.press('Enter')
  assert.ok((await shownTag(page)).includes(`${url}/image/`))
  assert.equal(await page.locator('#token').isVisible(), false)
  // The same tab remembers it.
  await page.reload()
  await page.setInputFiles('#file', MOUNTAINS)
  await shownTag(page)
  assert.ok(
    complaints.every((complaint) => complaint.includes('401')),
    complaints.join('\n'),
  )
})

test('HOME_PAGE=false switches the page off, and neither the greeting nor the API description mentions it', async (t) => {
  const folder = await temporaryFolder(t)
  const node = await startNodeFor(t, { env: { UPLOAD_TOKENS: '', STORE: `file:${folder}/data`, HOME_PAGE: 'false' } })
  const page = await rawRequest(node.url, '/')
  assert.deepEqual([page.status, jsonFields(page.body)['error']], [404, 'route_not_found'])
  assert.ok(!(await node.output()).includes('#token='))
  const described = await rawRequest(node.url, '/openapi.json')
  assert.doesNotMatch(described.body.toString(), /"operationId":"home"/)
  assert.match(described.body.toString(), /"operationId":"reticulumUpload"/)
})

test('Crawlers may fetch images and no records, also through nginx and the front, and browsers find an icon', async (t) => {
  const { node, nginx } = await startSite(t)
  for (const origin of [node.url, nginx.origin, nginx.frontOrigin]) {
    const robots = await (await fetch(`${origin}/robots.txt`)).text()
    const refused = [...robots.matchAll(/^Disallow: (?<path>.+)$/gm)].map((match) => match.groups?.['path'] ?? '')
    const mayCrawl = (path: string) => !refused.some((prefix) => path.startsWith(prefix))
    assert.ok(mayCrawl('/image/3f2a/400w.webp') && mayCrawl('/s3/photos/cat.jpg/-/400w'))
    assert.ok(!mayCrawl('/images/3f2a') && !mayCrawl('/openapi.json'))
    const icon = await fetch(`${origin}/favicon.ico`)
    assert.equal(icon.headers.get('content-type'), 'image/svg+xml')
    assert.match(await icon.text(), /^<svg /)
  }
})
