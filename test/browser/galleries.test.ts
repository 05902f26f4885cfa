import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import pLimit from 'p-limit'
import { withComment } from '../../tools/pictures/distinct-copy.ts'
import { type Answer, ask, post } from '../../tools/requests/ask.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { askAtOnce, type GallerySite, openGallery, startGallerySite } from '../../tools/servers/gallery.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

const PICTURES = 200
const WITHIN_MS = 100_000

async function startFilledSite(t: TestContext): Promise<GallerySite> {
  const site = await startGallerySite(t)
  const photograph = await fixture('mountains.jpg')
  const copies = Array.from({ length: PICTURES }, (_, index) => index)
  await pLimit(8).map(copies, (index) => site.put(`${index}.jpg`, withComment(photograph, `copy ${index}`)))
  return site
}

const pathsOf = (spec: string, count = PICTURES) =>
  Array.from({ length: count }, (_, index) => {
    const width = Number(spec) - Math.floor(index / PICTURES)
    return `/s3/photos/${index % PICTURES}.jpg/-/${width}w/x.jpg`
  })

test('A page of 200 new pictures from a bucket is shown whole in Chromium over HTTP/2, also while another client asks for a thousand others', async (t) => {
  const [site, browser] = await Promise.all([startFilledSite(t), launchBrowser(t)])
  const { secureOrigin: origin, nginx } = site
  const show = (width: string) => openGallery(browser, { origin, paths: pathsOf(width) }, { withinMs: WITHIN_MS })
  const alone = await show('450')
  assert.deepEqual([alone.shown, alone.broken, alone.protocols], [PICTURES, [], ['h2']])
  const others = askAtOnce(nginx.origin, pathsOf('300', 1000), '127.0.0.2')
  const beside = await show('430')
  assert.deepEqual([beside.shown, beside.broken], [PICTURES, []])
  const { 200: pictures = 0, 429: limited = 0, 503: refused = 0, ...rest } = await others
  t.diagnostic(
    `${Math.round(alone.ms)} ms alone, ${Math.round(beside.ms)} ms beside a client with ${pictures} pictures, ` +
      `${limited} times 429 and ${refused} times 503`,
  )
  assert.deepEqual(rest, {})
  assert.equal(refused, 0, 'what nginx lets through is within the capacity')
  assert.ok(pictures >= 500)
})

test('64 clients that each ask one after the other for pictures of originals without mezzanines are never refused', async (t) => {
  const node = await startNodeFor(t, { env: { MEZZANINE_MIN_PIXELS: '0' } })
  const photograph = await fixture('mountains.jpg')
  const ids = await pLimit(4).map([...Array.from({ length: 64 }).keys()], async (index) => {
    const answer = await post(node.url, withComment(photograph, `copy ${index}`))
    assert.equal(answer.status, 201)
    return String(jsonFields(answer.body)['id'])
  })
  const answers: Answer[] = []
  const view = async (client: number): Promise<void> => {
    for (let turn = 0; turn < 3; turn += 1) {
      const id = ids[(client + turn * 7) % ids.length]
      answers.push(await ask(`${node.url}/image/${id}/480w,q${80 + turn}/x.jpg`))
    }
  }
  await Promise.all(ids.map((_, client) => view(client)))
  t.diagnostic(`the longest of ${answers.length} took ${Math.round(Math.max(...answers.map(({ ms }) => ms)))} ms`)
  const refused = answers
    .filter(({ status }) => status !== 200)
    .map(({ ms, body }) => `${Math.round(ms)} ms: ${body.toString()}`)
  assert.deepEqual(refused, [])
})
