import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { createScope } from '../../tools/processes/scope.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { type Darkroom, fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { drop, pageOpener, rendition, untilTrue, uploadRow } from '../support/home-page.ts'

const MOUNTAINS = fileURLToPath(new URL('../fixtures/mountains.jpg', import.meta.url))
const SMALL_MOUNTAINS = fileURLToPath(new URL('../fixtures/mountains-gps.jpg', import.meta.url))
const FIG = fileURLToPath(new URL('../fixtures/fig-alpha.png', import.meta.url))

/** Of the browser, and of a node that several tests use. */
const scope = createScope()
after(() => scope.close())
const openPage = pageOpener(scope)
let shared: Promise<Darkroom & { readonly store: string }> | undefined

function sharedNode() {
  shared ??= (async () => {
    const store = `file:${await temporaryFolder(scope)}/data`
    return { ...(await startNodeFor(scope, { env: { STORE: store } })), store }
  })()
  return shared
}

/** The page of a node that several tests share, opened with its token. */
async function openShared(t: TestContext, suffix = `/#token=${TOKEN}`) {
  const { url } = await sharedNode()
  return { ...(await openPage(t, `${url}${suffix}`)), url }
}

test('Files that are dropped together are all uploaded, and the faulty ones are named in an alert', async (t) => {
  const { page, url, complaints } = await openShared(t)
  const { bytes: noise } = await noisePicture(7, 300, 200)
  await drop(page, [
    { bytes: await fixture('mountains.jpg'), name: 'mountains.jpg', type: 'image/jpeg' },
    { bytes: await fixture('fig-alpha.png'), name: 'fig.png', type: 'image/png' },
    { bytes: noise, name: 'noise.png', type: 'image/png' },
    { bytes: Buffer.from('not a picture'), name: 'notes.txt', type: 'text/plain' },
    { bytes: Buffer.alloc(0), name: 'empty.jpg', type: 'image/jpeg' },
  ])
  await uploadRow(page, 'mountains.jpg', /Stored: 1200 × 900 jpeg, 141.5 KiB/)
  await uploadRow(page, 'fig.png', /Stored: 240 × 180 png/)
  await uploadRow(page, 'noise.png', /Stored: 300 × 200 png/)
  await uploadRow(page, 'notes.txt', /This is not an image in a supported format/)
  assert.equal(await page.getByRole('button', { name: 'Retry notes.txt' }).count(), 0)
  await uploadRow(page, 'empty.jpg', /The file is empty: choose an image/)
  await page.getByRole('button', { name: 'Show fig.png' }).click()
  await page.getByText('240 × 180 pixels').waitFor()
  assert.match(await rendition(page, 1), /\b400w\b/)
  assert.ok((await page.inputValue('#tag')).includes(`${url}/image/`))
  assert.ok(complaints.every((complaint) => complaint.includes('415')))

  await drop(page, [{ bytes: Buffer.from('no picture'), name: 'more.txt', type: 'text/plain' }])
  await page.getByRole('alert').filter({ hasText: 'more.txt: This is not an image' }).waitFor()
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: await page.evaluateHandle('new DataTransfer()') })
  await page.getByRole('alert').filter({ hasText: 'Not a file: drop an image file' }).waitFor()
})

test('The progress of each upload is shown, and an upload can be cancelled and repeated', async (t) => {
  const { page, complaints } = await openShared(t)
  const { bytes } = await noisePicture(8, 1600, 1200)
  const network = await page.context().newCDPSession(page)
  const speed = (bytesPerSecond: number) =>
    network.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: bytesPerSecond,
    })
  await speed(400_000)
  await drop(page, [{ bytes, name: 'large.png', type: 'image/png' }])
  const bar = page.getByRole('progressbar', { name: 'Upload of large.png' })
  await untilTrue(page, `document.querySelector('#upload-list progress').value > 0`)
  assert.ok(await bar.isVisible())
  await page.getByRole('button', { name: 'Cancel large.png' }).click()
  await uploadRow(page, 'large.png', /Cancelled/)
  await speed(-1)
  await page.getByRole('button', { name: 'Retry large.png' }).click()
  await uploadRow(page, 'large.png', /Stored: 1600 × 1200/)
  assert.equal(await bar.isVisible(), false)
  assert.deepEqual(complaints, [])
})

test('The link that a bare node prints opens a page that uploads, and whose address shows no token', async (t) => {
  const folder = await temporaryFolder(t)
  const node = await startNodeFor(t, { env: { UPLOAD_TOKENS: '', STORE: `file:${folder}/data` } })
  const link = /^ {2}(?<link>http\S+#token=\S+)$/m.exec(await node.output())?.groups?.['link'] ?? ''
  const { page, complaints } = await openPage(t, link)
  assert.equal(page.url(), `${node.url}/`)
  await page.setInputFiles('#file', MOUNTAINS)
  await rendition(page, 1)
  assert.ok((await page.inputValue('#tag')).includes(`${node.url}/image/`))
  // The tab remembers it without its address.
  await page.reload()
  await page.setInputFiles('#file', MOUNTAINS)
  await uploadRow(page, 'mountains.jpg', /Already stored/)
  assert.deepEqual(complaints, [])
  // A tab that was open before, with a token that is wrong.
  await page.evaluate(`sessionStorage.token = 'not-the-right-token'`)
  await page.reload()
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText(/^Invalid token/).waitFor()
  await page.getByLabel('Upload token').fill('not-the-right-one-either')
  await page.goto(link)
  await page.waitForURL(`${node.url}/`)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.locator('#upload-list').getByText('Already stored').waitFor()
})

test('Where a token is needed the page asks for it once, and sends all pictures again with it', async (t) => {
  const { page, url, complaints } = await openShared(t, '')
  assert.equal(await page.locator('#token').isVisible(), false)
  // Large enough that the refusal comes while the picture is still being sent.
  const { bytes } = await noisePicture(1, 1500, 1000)
  await drop(page, [
    { bytes, name: 'noise.png', type: 'image/png' },
    { bytes: await fixture('fig-alpha.png'), name: 'fig.png', type: 'image/png' },
  ])
  await page.getByRole('alert').getByText('Uploading requires a token').waitFor()
  await page.keyboard.type('not-the-right-token')
  await page.keyboard.press('Enter')
  await page
    .getByRole('alert')
    .getByText(/^Invalid token/)
    .waitFor()
  await page.getByLabel('Upload token').fill(TOKEN)
  await page.keyboard.press('Enter')
  await uploadRow(page, 'noise.png', /tored: 1500 × 1000/)
  await uploadRow(page, 'fig.png', /tored: 240 × 180/)
  await rendition(page, 1)
  assert.ok((await page.inputValue('#tag')).includes(`${url}/image/`))
  assert.equal(await page.locator('#token').isVisible(), false)
  // The same tab remembers it.
  await page.reload()
  await page.setInputFiles('#file', MOUNTAINS)
  await rendition(page, 1)
  assert.ok(
    complaints.every((complaint) => complaint.includes('401')),
    complaints.join('\n'),
  )
})

test('Without a token the uploads can be given up, and tried again later', async (t) => {
  const { page } = await openShared(t, '')
  await page.setInputFiles('#file', [MOUNTAINS, FIG])
  await page.getByLabel('Upload token').waitFor()
  await page.keyboard.press('Escape')
  await uploadRow(page, 'mountains.jpg', /Not uploaded: no token/)
  await uploadRow(page, 'fig-alpha.png', /Not uploaded: no token/)
  await page.getByRole('button', { name: 'Upload token …' }).click()
  await page.getByLabel('Upload token').fill(TOKEN)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Retry fig-alpha.png' }).click()
  await uploadRow(page, 'fig-alpha.png', /tored: 240 × 180/)
})

test('A node that only serves shows images by their id, and says why it takes none', async (t) => {
  const { url: writer, store } = await sharedNode()
  const id = await uploadFixture(writer, 'mountains-gps.jpg')
  const { url } = await startNodeFor(t, { env: { STORE: store, UPLOAD_TOKENS: '', ACCEL_PREFIX: '/_renditions/' } })
  const { page, complaints } = await openPage(t, url)
  await page.getByText('This node is read-only: it has no upload tokens (UPLOAD_TOKENS).').waitFor()
  assert.equal(await page.locator('#drop').isVisible(), false)
  await page.getByLabel('Image id').fill(id)
  await page.keyboard.press('Enter')
  assert.match(await rendition(page, 1), /^400w/)
  await page.getByText('This node shows no embedded metadata: it has no upload tokens.').waitFor()
  assert.deepEqual(complaints, [])
  await page.getByLabel('Image id').fill('0'.repeat(40))
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'Image not found' }).waitFor()
  await drop(page, [{ bytes: await fixture('fig-alpha.png'), name: 'fig.png', type: 'image/png' }])
  await page.getByRole('alert').filter({ hasText: 'This node is read-only' }).waitFor()
})

test('The page knows the limits of the node and its list of sizes, and shows what the server says to others', async (t) => {
  const limits = { MAX_UPLOAD_BYTES: '100K', INPUT_FORMATS: 'jpeg png' }
  const { url } = await startNodeFor(t, { env: { SIZE_POLICY: 'list', SIZES: '100s 200w 400w', ...limits } })
  const { page } = await openPage(t, `${url}/#token=${TOKEN}`)
  await page.getByText('jpeg, png; up to 100 KiB and 100 megapixels each').waitFor()
  await page.setInputFiles('#file', [MOUNTAINS, SMALL_MOUNTAINS])
  await uploadRow(page, 'mountains.jpg', /The file has 141.5 KiB; the limit is 100 KiB \(MAX_UPLOAD_BYTES\)/)
  assert.match(await rendition(page, 1), /^100s/)
  await page.getByText('This server serves the sizes of a list only (SIZE_POLICY=list)').waitFor()
  assert.equal(await page.locator('#fields').isVisible(), false)
  assert.deepEqual(await page.locator('#offered option').allInnerTexts(), ['100s', '200w', '400w'])
  await page.locator('#offered').selectOption('200w')
  await page.getByLabel('Format').selectOption('webp')
  await page.getByRole('button', { name: 'Render' }).click()
  assert.match(await rendition(page, 2), /^200w\.webp\s+webp, 200 × 150/)
  const tag = await page.inputValue('#tag')
  assert.deepEqual(
    [...tag.matchAll(/\/(\w+)\.webp \d+w/g)].map(([, size]) => size),
    ['200w', '400w'],
  )
  await page.getByLabel('Size specification').fill('300w')
  await page.getByRole('button', { name: 'Render' }).click()
  await page.getByRole('alert').filter({ hasText: '"300w" is not an allowed size (SIZES)' }).waitFor()
})

test('With steps the page explains them, its code has steps only, and a refused option is explained', async (t) => {
  const env = { SIZE_POLICY: 'steps', SIZE_STEPS: '200 300 500 700', SIZES: '400w,q80' }
  const { url } = await startNodeFor(t, { env })
  const { page } = await openPage(t, `${url}/#token=${TOKEN}`)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText('rounds sizes up to steps (SIZE_POLICY=steps): 200, 300, 500, 700 pixels').waitFor()
  assert.match(await rendition(page, 1), /^400w\s+\w+, 500 × 375/)
  await page.getByLabel('Width in the page').selectOption('full')
  const tag = await page.inputValue('#tag')
  const candidates = [...tag.matchAll(/\/(\w+)(?:\.\w+)? (\d+w)/g)].map(([, size, width]) => [size, width])
  assert.deepEqual(candidates, [
    ['500w', '500w'],
    ['700w', '700w'],
  ])
  await page.getByLabel('Size specification').fill('400w,q50')
  await page.getByRole('button', { name: 'Render' }).click()
  await page.getByRole('alert').filter({ hasText: '"400w,q50" is not an allowed combination' }).waitFor()
})

test('With signed URLs the page offers those of the record, and its code has their signatures', async (t) => {
  const publicUrl = 'https://img.example.com/pictures'
  const env = { SIZE_POLICY: 'signed', URL_KEYS: 'a-key-for-the-tests-only', PUBLIC_URL: publicUrl }
  const { url } = await startNodeFor(t, { env })
  const { page } = await openPage(t, `${url}/#token=${TOKEN}`)
  await page.setInputFiles('#file', MOUNTAINS)
  await page.getByText('This server serves signed URLs only (SIZE_POLICY=signed)').waitFor()
  assert.match(await rendition(page, 1), /^800w/)
  assert.equal(await page.locator('#spec').isVisible(), false)
  const tag = await page.inputValue('#tag')
  const urls = [...tag.matchAll(/https?:[^ ",]+/g)].map(([found]) => found.replaceAll('&amp;', '&'))
  assert.ok(urls.length > 2)
  // An image by its id requires the token too.
  const id = /\/image\/(?<id>\w+)/.exec(tag)?.groups?.['id'] ?? ''
  const { page: other } = await openPage(t, url)
  await other.getByLabel('Image id').fill(id)
  await other.keyboard.press('Enter')
  await other.getByRole('alert').getByText('Access to the record requires a token').waitFor()
  await other.keyboard.type(TOKEN)
  await other.keyboard.press('Enter')
  assert.match(await rendition(other, 1), /^800w/)
  for (const found of urls) {
    assert.equal((await rawRequest(url, found.slice(publicUrl.length))).status, 200, found)
  }
  assert.match(await page.inputValue('#picture-code'), /needs a URL that is signed for it/)
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

test('The page, rules for crawlers and an icon are served through nginx and the front as well', async (t) => {
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
  const { page, complaints } = await openPage(t, `${nginx.frontOrigin}/#token=${TOKEN}`)
  await page.setInputFiles('#file', MOUNTAINS)
  await rendition(page, 1)
  await page.getByRole('button', { name: 'Render' }).click()
  assert.match(await rendition(page, 2), /Server-Timing: cache: \w+/)
  assert.deepEqual(complaints, [])
})
