import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Koa from 'koa'
import { formatSignature, signPath } from '../../../../src/domain/access/signature.ts'
import type { SizePolicy } from '../../../../src/domain/access/size-policy.ts'
import { parseDialectMount } from '../../../../src/domain/dialect/dialects.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { errorResponse } from '../../../../src/http/answer/error-response.ts'
import { close, createHttpServer, listen } from '../../../../src/http/connection/server.ts'
import { dialectHandler } from '../../../../src/http/pictures/other-services.ts'
import { objectHandler, remoteHandler, uploadHandler } from '../../../../src/http/pictures/picture-handlers.ts'
import type { RequestState } from '../../../../src/http/request/request-state.ts'
import { rawRequest } from '../../../../tools/requests/raw-request.ts'

const ID = 'ab'.repeat(20)
const OTHER_ID = 'cd'.repeat(20)
const [OLD_KEY, NEW_KEY] = ['the-old-key-of-this-test', 'the-new-key-of-this-test']
const NOW_SECONDS = 1_800_000_000
const SOURCE = encodeURIComponent('https://images.example/a.jpg')

/**
 * The handlers of pictures before nothing at all: `answer` is the only way from them to memory, disk, store and renderers.
 * @returns what was let through, as `<status> <how often>`.
 */
async function startGate(t: TestContext, policy: SizePolicy): Promise<(path: string) => Promise<string>> {
  let answers = 0
  const unknown = () => Promise.reject(new Error('No info is asked for here'))
  const shared = {
    policy,
    now: () => NOW_SECONDS * 1000,
    readSpec: parseSpec,
    answerInfo: unknown,
    async answer(ctx: { status: number }) {
      answers += 1
      ctx.status = 200
    },
  }
  const dialects = {
    mounts: ['thumbor=/thumbor', 'imgproxy=/imgproxy', 'ipx=/ipx'].map(parseDialectMount),
    thumbor: { keys: [], hash: 'sha1' },
    imgproxy: { keys: [], sizeBytes: 32 },
    bases: { thumbor: 'https://', imgproxy: '', ipx: '' },
    formatless: 'source',
  } as const
  const [upload, object, remote] = [uploadHandler(shared), objectHandler(shared), remoteHandler(shared)]
  const app = new Koa<RequestState>()
  app.use(errorResponse())
  app.use(dialectHandler({ ...shared, dialects }))
  app.use(async (ctx, next) => {
    if (ctx.path === '/image') await remote(ctx, next)
    else await (ctx.path.startsWith('/s3/') ? object : upload)(ctx, next)
  })
  const server = createHttpServer(app)
  const url = await listen(server, 0, '127.0.0.1')
  t.after(() => close(server))
  return async (path) => {
    const before = answers
    const { status } = await rawRequest(url, path)
    return `${status} ${answers - before}`
  }
}

const URLS = (spec: string) => [
  `/image/${ID}/${spec}`,
  `/image/${ID}/${spec}/x.webp`,
  `/s3/photos/a.jpg/-/${spec}`,
  `/s3/photos/a.jpg/-/${spec}?versionId=1`,
  `/image?url=${SOURCE}&size=${spec}`,
]

test('A size that is not on the list is refused before anything is looked up, in every grammar', async (t) => {
  const ask = await startGate(t, { kind: 'list', sizes: ['400w', '100s'], fallback: 'refuse' })
  for (const spec of ['400w', '100s']) for (const url of URLS(spec)) assert.equal(await ask(url), '200 1', url)
  for (const spec of ['401w', '40w', '400w,q80', '400w,2x', '101s', 'full', '8192w8192h,fill,up', '400h']) {
    for (const url of URLS(spec)) assert.equal(await ask(url), '403 0', url)
  }
  const image = 'https://images.example/a.jpg'
  for (const url of [
    `/thumbor/unsafe/401x0/filters:no_upscale()/${image}`,
    `/imgproxy/insecure/w:401/plain/${image}`,
    `/ipx/w_401/${image}`,
  ]) {
    assert.equal(await ask(url), '403 0', url)
  }
})

test('An unlisted size that is redirected costs nothing either', async (t) => {
  const ask = await startGate(t, { kind: 'list', sizes: ['400w'], fallback: 'redirect' })
  for (const url of URLS('399w')) assert.equal(await ask(url), '302 0', url)
  for (const url of URLS('401w')) assert.equal(await ask(url), '403 0', url)
})

test('A signature that is forged, cut, expired or of another URL is refused before anything is looked up', async (t) => {
  const ask = await startGate(t, { kind: 'signed', keys: [NEW_KEY, OLD_KEY] })
  const signed = (path: string, of = path, key: string = NEW_KEY, expires?: number) =>
    // The name is free text, and no part of what is signed.
    `${path}${path.includes('?') ? '&' : '?'}${formatSignature(signPath(of.replace('/x.webp', '/.webp'), key, expires))}`
  const upload = `/image/${ID}/400w`
  const named = `/image/${ID}/400w/x.webp`
  const object = '/s3/photos/a.jpg/-/400w'
  const version = `${object}?versionId=1`
  const remote = `/image?url=${SOURCE}&size=400w`
  const right = [upload, named, object, version, remote]
  for (const path of right) {
    assert.equal(await ask(signed(path)), '200 1', path)
    assert.equal(await ask(signed(path, path, OLD_KEY)), '200 1', `${path} by the old key`)
    assert.equal(await ask(signed(path, path, NEW_KEY, NOW_SECONDS + 1)), '200 1', `${path} with some time left`)
  }
  assert.equal(await ask(signed(`/image/${ID}/400w/cat.webp`, named)), '200 1')

  for (const path of right) {
    const url = signed(path)
    const signature = /s=(?<signature>[\w-]+)$/.exec(url)?.groups?.['signature'] ?? ''
    const unsigned = url.slice(0, -signature.length)
    const wrong = {
      'no signature': path,
      'an empty one': unsigned,
      'one that is cut': url.slice(0, -1),
      'one that is cut to a byte': `${unsigned}${signature.slice(0, 2)}`,
      'one with more behind it': `${url}A`,
      'one in another alphabet': `${unsigned}${signature.replaceAll('-', '%2B').replaceAll('_', '%2F')}%3D`,
      'one in hexadecimal digits': `${unsigned}${Buffer.from(signature, 'base64url').toString('hex')}`,
      'a forged one': `${unsigned}${'A'.repeat(43)}`,
      'one by another key': signed(path, path, 'a-key-from-somewhere-else'),
      'one by no key': signed(path, path, ''),
      'one that has expired': signed(path, path, NEW_KEY, NOW_SECONDS),
      'an expiry put off': signed(path, path, NEW_KEY, NOW_SECONDS - 1).replace(
        /(?<=[?&])e=\d+/,
        `e=${NOW_SECONDS + 9}`,
      ),
      'an expiry taken away': signed(path, path, NEW_KEY, NOW_SECONDS + 9).replace(/(?<=[?&])e=\d+&/, ''),
      'an expiry given twice': `${signed(path, path, NEW_KEY, NOW_SECONDS + 9)}&e=${NOW_SECONDS + 9}`,
      'one given twice': `${url}&s=${signature}`,
    }
    for (const [what, asked] of Object.entries(wrong)) {
      // All of an alphabet that has nothing of its own is the same one.
      if (asked === url) continue
      assert.equal(await ask(asked), '403 0', `${what}: ${asked}`)
    }
    // Replayed for anything else.
    for (const other of [
      ...right.filter((one) => one !== path),
      upload.replace('400w', '401w'),
      upload.replace(ID, OTHER_ID),
      named.replace('webp', 'avif').replace('x.', 'y.'),
      object.replace('photos', 'others'),
      object.replace('a.jpg', 'b.jpg'),
      version.replace('=1', '=2'),
      remote.replace('a.jpg', 'b.jpg'),
      remote.replace('images', 'others'),
      `${remote}&format=webp`,
    ]) {
      assert.equal(await ask(signed(other, path)), '403 0', `${path} replayed for ${other}`)
    }
  }
})
