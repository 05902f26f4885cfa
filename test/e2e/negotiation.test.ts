import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNodeFor, startSite, TOKEN } from '../../tools/servers/site.ts'

/** What browsers of each class send for an `<img>`. */
const ACCEPT = {
  avif: 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
  webp: 'image/webp,*/*',
  other: 'image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5',
} as const

interface Picture {
  readonly type: string
  readonly format: string
  readonly alpha: boolean
  readonly frames: number
  /** Of the pixel in the corner, which is clear in the PNG. 0 to 255. */
  readonly cornerAlpha: number
}

/** Asks for a picture and decodes what comes. */
async function look(origin: string, path: string, accept: string): Promise<Picture> {
  const { status, headers, body } = await rawRequest(origin, path, { headers: { Accept: accept } })
  assert.equal(status, 200)
  const { format, hasAlpha, pages = 1, compression } = await sharp(body).metadata()
  const corner = await sharp(body).extract({ left: 0, top: 0, width: 1, height: 1 }).ensureAlpha().raw().toBuffer()
  return {
    type: String(headers['content-type']),
    format: compression === 'av1' ? 'avif' : format,
    alpha: hasAlpha,
    frames: pages,
    cornerAlpha: corner[3] ?? -1,
  }
}

test('A transparent picture stays transparent for every class of clients, whatever was asked for before', async (t) => {
  const { node, nginx, url } = await startSite(t)
  const id = await uploadFixture(url, 'fig-alpha.png', TOKEN)
  const path = `/image/${id}/120w`
  // An explicit JPEG of the same size has no alpha, and must not be what a negotiated URL finds.
  assert.equal((await look(url, `${path}/x.jpg`, ACCEPT.avif)).alpha, false)
  assert.equal((await look(url, `${path}/x.avif`, ACCEPT.other)).cornerAlpha, 0)
  const expected = {
    avif: { type: 'image/avif', format: 'avif', alpha: true, frames: 1, cornerAlpha: 0 },
    webp: { type: 'image/webp', format: 'webp', alpha: true, frames: 1, cornerAlpha: 0 },
    other: { type: 'image/png', format: 'png', alpha: true, frames: 1, cornerAlpha: 0 },
  }
  for (const round of [1, 2]) {
    for (const kind of ['avif', 'webp', 'other'] as const) {
      assert.deepEqual(await look(url, path, ACCEPT[kind]), expected[kind], `${kind}, round ${round}`)
    }
  }
  assert.deepEqual(await tiersOf(nginx.accessLog(9), path), ['miss', 'miss', 'miss', 'nginx', 'nginx', 'nginx'])
  // The AVIF was there already; the negotiated one is another name of it.
  assert.equal(await node.metric('darkroom_render_duration_seconds_count'), 4)
})

test('An animation moves for every class of clients, whatever was asked for before', async (t) => {
  const { nginx, url } = await startSite(t)
  const id = await uploadFixture(url, 'dandelion.gif', TOKEN)
  const path = `/image/${id}/120w`
  assert.equal((await look(url, `${path}/x.jpg`, ACCEPT.avif)).frames, 1)
  assert.equal((await look(url, `${path}/x.avif`, ACCEPT.avif)).frames, 1)
  for (const round of [1, 2]) {
    for (const [kind, format] of [
      ['avif', 'webp'],
      ['webp', 'webp'],
      ['other', 'gif'],
    ] as const) {
      const seen = await look(url, path, ACCEPT[kind])
      assert.deepEqual([seen.type, seen.format, seen.frames], [`image/${format}`, format, 6], `${kind}, round ${round}`)
    }
  }
  assert.deepEqual(await tiersOf(nginx.accessLog(9), path), ['miss', 'miss', 'miss', 'nginx', 'nginx', 'nginx'])
  // Stopped, it is a still picture; as small as this, of the format that is encoded in a third of the time of AVIF.
  const still = await look(url, `${path},still`, ACCEPT.avif)
  assert.deepEqual([still.format, still.frames], ['webp', 1])
})

/** Where the answers for a path came from, sorted: each of nginx's workers writes its lines when it likes. */
async function tiersOf(lines: Promise<readonly string[]>, path: string): Promise<string[]> {
  return (await lines)
    .map(jsonFields)
    .filter((line) => line['path'] === path)
    .map(({ tier }) => String(tier))
    .toSorted()
}

test('A photograph is what the Accept header allows, a weight of zero refused, with nginx and without', async (t) => {
  const [site, alone] = await Promise.all([startSite(t), startNodeFor(t, { env: { UPLOAD_TOKENS: TOKEN } })])
  const cases = {
    'image/avif': 'avif',
    'image/webp,image/avif': 'avif',
    'IMAGE/AVIF;q=0.1, image/webp': 'avif',
    'image/avif;q=0,image/webp': 'webp',
    'image/avif; q=0.000 , image/webp;q=0.5': 'webp',
    'image/avif;q=0.001': 'avif',
    'image/avif;q=0,image/webp;q=0': 'jpeg',
    'image/webp;q=0,image/avif': 'avif',
    'image/webp;level=1;q=0, */*': 'jpeg',
    'image/avif-sequence': 'jpeg',
    'x-image/avif': 'jpeg',
    'image/*': 'jpeg',
    '*/*': 'jpeg',
    '': 'jpeg',
  }
  for (const origin of [site.url, alone.url]) {
    const id = await uploadFixture(origin, 'mountains.jpg', TOKEN)
    for (const round of [1, 2]) {
      for (const [accept, format] of Object.entries(cases)) {
        const { headers, status } = await rawRequest(origin, `/image/${id}/480w`, { headers: { Accept: accept } })
        assert.equal(status, 200)
        assert.equal(headers['content-type'], `image/${format}`, `${accept}, round ${round}`)
        assert.equal(headers.vary, 'Accept')
      }
      const { headers } = await rawRequest(origin, `/image/${id}/480w`)
      assert.equal(headers['content-type'], 'image/jpeg', 'no Accept at all')
    }
  }
  assert.equal(await site.node.metric('darkroom_render_duration_seconds_count'), 3)
})
