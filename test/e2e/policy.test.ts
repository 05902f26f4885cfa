import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, newStore, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const SIGN_URL = fileURLToPath(new URL('../../scripts/sign-url', import.meta.url))
const [OLD_KEY, NEW_KEY, FOREIGN_KEY] = [
  'the-old-key-of-this-test',
  'the-new-key-of-this-test',
  'a-key-from-somewhere-else',
]
const PUBLIC_URL = 'https://pictures.example'

interface Signed {
  readonly code: number | null
  readonly urls: readonly string[]
  readonly problems: string
}

/** Runs `scripts/sign-url`. */
async function signUrl(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Signed> {
  const child = spawn(SIGN_URL, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
  await ended
  return { code: child.exitCode, urls: out.split('\n').filter((line) => line !== ''), problems }
}

async function signOne(path: string, key: string, ...options: string[]): Promise<string> {
  const { urls, problems } = await signUrl([...options, path], { URL_KEYS: key })
  assert.equal(problems, '')
  return urls[0] ?? ''
}

async function assertRefused(origin: string, path: string, code: string): Promise<void> {
  const { status, headers, body } = await rawRequest(origin, path)
  assert.deepEqual([status, jsonFields(body).error], [403, code], path)
  assert.equal(headers['cache-control'], 'no-store')
}

test('With a list of sizes the others are refused, or redirected to the next larger width', async (t) => {
  const STORE = `file:${await temporaryFolder(t)}`
  const list = { STORE, SIZE_POLICY: 'list', SIZES: '320w 160w,q60 160w 100s 4000w' }
  const refusing = await startSite(t, list)
  const redirecting = await startSite(t, { ...list, SIZES_FALLBACK: 'redirect' })
  const response = await upload(refusing.url, await fixture('mountains.jpg'), 'image/jpeg', TOKEN)
  const { id, urls } = jsonFields(await response.text())
  const image = `/image/${String(id)}`
  assert.equal(jsonFields(JSON.stringify(urls)).srcset, `${image}/320w 320w, ${image}/160w 160w`)

  for (const origin of [refusing.node.url, refusing.url, redirecting.url]) {
    for (const path of ['160w', '160w/x.webp', '160w,q60/x.jpg', '100s']) {
      assert.equal((await rawRequest(origin, `${image}/${path}`)).status, 200, path)
    }
  }
  for (const path of ['200w', '160w,q61', '100w100h', '100s,2x', 'full']) {
    await assertRefused(refusing.url, `${image}/${path}/x.jpg`, 'size_not_allowed')
  }
  for (const [path, target] of [
    ['161w/x.png', '320w/x.png'],
    ['161w.png', '320w.png'],
    ['100w,q60/x.jpg', '160w,q60/x.jpg'],
    ['300w?from=there', '320w?from=there'],
    ['99s', '100s'],
  ]) {
    const { status, headers } = await rawRequest(redirecting.url, `${image}/${path}`)
    assert.deepEqual([status, headers.location], [302, `${image}/${target}`])
    assert.equal(headers['cache-control'], 'public, max-age=3600')
  }
  for (const path of ['4001w', '101s', '170w,q60', 'full']) {
    await assertRefused(redirecting.url, `${image}/${path}`, 'size_not_allowed')
  }
})

test('With signatures the URLs of an answer work as they are, and nothing else does', async (t) => {
  const signed = { SIZE_POLICY: 'signed', URL_KEYS: OLD_KEY, PUBLIC_URL: `${PUBLIC_URL}/` }
  const { node, nginx, url } = await startSite(t, signed, { directHits: false })
  const response = await upload(url, await fixture('mountains.jpg'), 'image/jpeg', TOKEN)
  assert.equal(response.headers.get('location')?.startsWith(`${PUBLIC_URL}/images/`), true)
  const { id, urls } = jsonFields(await response.text())
  const { src, srcset, record, original } = jsonFields(JSON.stringify(urls))
  const links = [src, record, original, ...String(srcset).split(', ')].map((link) => String(link).split(' ')[0] ?? '')
  for (const link of links) {
    assert.ok(link.startsWith(`${PUBLIC_URL}/`), link)
    const path = link.slice(PUBLIC_URL.length)
    assert.equal((await rawRequest(url, path, { headers: AUTHORIZATION })).status, 200, link)
  }

  // The record has URLs that are signed for ever: it is for whoever could sign for himself.
  for (const origin of [node.url, url]) {
    for (const known of [`/images/${String(id)}`, `/images/${String(id)}/info`, `/images/${'cd'.repeat(20)}`]) {
      const { status, body } = await rawRequest(origin, known)
      assert.deepEqual([status, jsonFields(body).error], [401, 'token_required'], known)
    }
  }
  const kept = await rawRequest(url, `/images/${String(id)}`, { headers: AUTHORIZATION })
  assert.equal(kept.headers['cache-control'], 'private, no-cache')

  const path = `/image/${String(id)}/120w`
  const good = await signOne(`${path}/x.jpg`, OLD_KEY)
  for (const round of [1, 2]) {
    // Without a name it is the same picture, and signed alike.
    const nameless = await signOne(`${path}.jpeg`, OLD_KEY)
    assert.equal(nameless, good.replace('/x.jpg', '.jpg'))
    for (const allowed of [good, good.replace('/x.jpg', '/another-name.jpg'), nameless]) {
      const { status, headers } = await rawRequest(url, allowed)
      assert.equal(status, 200, `round ${round}`)
      assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    }
  }
  // A rendition that is on disk, but asked for without a right to it.
  for (const refused of [
    `${path}/x.jpg`,
    `${path}/x.jpg?s=`,
    `${path}/x.jpg?s=wrong`,
    good.replace('120w', '121w'),
    good.replace('.jpg', '.png'),
    good.replace('/x.jpg', ''),
    good.replace('/x.jpg', '.png'),
    good.slice(0, -1),
    `${good}&e=9999999999`,
    `${good}&s=wrong`,
    good.replace(/s=(.)/, (_, first: string) => `s=${first === 'A' ? 'B' : 'A'}`),
    await signOne(`${path}/x.jpg`, FOREIGN_KEY),
  ]) {
    for (const origin of [node.url, url]) await assertRefused(origin, refused, 'signature_invalid')
  }
  const other = await signOne(`/image/${String(id).toUpperCase()}/60h120w/X.JPEG`, OLD_KEY)
  assert.equal((await rawRequest(url, other)).status, 200, 'the script prints the canonical spelling')
  const redirected = await rawRequest(url, good.replace('.jpg', '.JPEG'))
  assert.deepEqual([redirected.status, redirected.headers.location], [301, good])
  const tiers = (await nginx.accessLog(20)).map((line) => jsonFields(line)['tier'])
  assert.equal(tiers.includes('nginx'), false)
  assert.ok(tiers.includes('memory'))
  // Neither what is signed nor by whom is in a log.
  assert.doesNotMatch(JSON.stringify(await node.log()) + (await nginx.accessLog(20)).join(''), /[?&]s=|s=[\w-]{43}/)
})

test('A signed URL ends with its time, and so does every copy of what it answered', async (t) => {
  const STORE = `file:${await temporaryFolder(t)}`
  const signed = { STORE, SIZE_POLICY: 'signed', URL_KEYS: OLD_KEY }
  const { url } = await startSite(t, signed, { directHits: false })
  const alone = await startNodeFor(t, { env: signed })
  const { id } = jsonFields(await (await upload(url, await fixture('fig-alpha.png'), 'image/png', TOKEN)).text())
  const path = `/image/${String(id)}/20w/x.png`
  const [hour, decade, moment] = await Promise.all(
    ['3600', '315360000', '1'].map((seconds) => signOne(path, OLD_KEY, '--expires-in', seconds)),
  )
  for (const origin of [alone.url, url]) {
    const lasting = await rawRequest(origin, hour ?? '')
    assert.equal(lasting.status, 200)
    const maxAge = Number(/^public, max-age=(\d+)$/.exec(String(lasting.headers['cache-control']))?.[1])
    assert.ok(maxAge > 3500 && maxAge <= 3600, String(lasting.headers['cache-control']))
    assert.equal((await rawRequest(origin, decade ?? '')).headers['cache-control'], 'public, max-age=31536000')
  }
  const expiry = Number(new URLSearchParams(moment?.split('?')[1]).get('e')) * 1000
  while (Date.now() < expiry) await rawRequest(url, moment ?? '')
  for (const origin of [alone.url, url]) await assertRefused(origin, moment ?? '', 'signature_expired')
  await assertRefused(url, moment?.replace(/e=\d+/, 'e=9999999999') ?? '', 'signature_invalid')
  await assertRefused(url, hour?.replace(/e=\d+&/, '') ?? '', 'signature_invalid')
})

test('Keys are rotated without a break: both are accepted, the first signs', async (t) => {
  const { env } = await newStore()
  const signed = { ...env, SIZE_POLICY: 'signed' }
  const before = await startNodeFor(t, { env: { ...signed, URL_KEYS: OLD_KEY } })
  const between = await startNodeFor(t, { env: { ...signed, URL_KEYS: `${NEW_KEY} ${OLD_KEY}` } })
  const after = await startNodeFor(t, { env: { ...signed, URL_KEYS: NEW_KEY } })
  const srcOf = async (origin: string) => {
    const { urls } = jsonFields(await (await upload(origin, await fixture('fig-alpha.png'), 'image/png')).text())
    return String(jsonFields(JSON.stringify(urls)).src)
  }
  const [oldSrc, newSrc] = [await srcOf(before.url), await srcOf(between.url)]
  assert.notEqual(oldSrc, newSrc)
  assert.equal((await rawRequest(before.url, oldSrc)).status, 200)
  for (const src of [oldSrc, newSrc]) assert.equal((await rawRequest(between.url, src)).status, 200)
  assert.equal((await rawRequest(after.url, newSrc)).status, 200)
  await assertRefused(after.url, oldSrc, 'signature_invalid')
})

test('scripts/sign-url explains itself, signs several paths, and names what it cannot sign', async () => {
  const path = `/image/${'ab'.repeat(20)}/120w`
  const keys = { URL_KEYS: `${NEW_KEY} ${OLD_KEY}`, PUBLIC_URL }
  const help = await signUrl(['--help'])
  assert.equal(help.code, 0)
  assert.match(help.urls.join('\n'), /--expires-in/)

  const { code, urls } = await signUrl([path, `${PUBLIC_URL}${path}/x.jpeg`, '--expires-in', '60'], keys)
  assert.equal(code, 0)
  assert.equal(urls.length, 2)
  assert.match(urls[0] ?? '', /^https:\/\/pictures\.example\/image\/(?:ab){20}\/120w\?e=\d+&s=[\w-]{43}$/)
  assert.match(urls[1] ?? '', /^https:\/\/pictures\.example\/image\/(?:ab){20}\/120w\/x\.jpg\?e=\d+&s=[\w-]{43}$/)

  const wrongPath = await signUrl([path, '/image/abc/120w'], keys)
  assert.deepEqual([wrongPath.code, wrongPath.urls.length], [1, 1])
  assert.match(
    wrongPath.problems,
    /^sign-url: \/image\/abc\/120w: "abc" is not an image id: an id has 40 hexadecimal digits, /m,
  )

  const wrong = await signUrl(['--expires-in', 'soon', '--fast'], { URL_KEYS: '' })
  assert.equal(wrong.code, 2)
  for (const problem of [/URL_KEYS/, /--expires-in: "soon"/, /--fast: unknown option/, /a URL is required/]) {
    assert.match(wrong.problems, problem)
  }
})
