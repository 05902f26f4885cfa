import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { distinctSpecs } from '../../tools/requests/size-steps.ts'
import { backgroundIsDone, fixture, upload } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startSite, TOKEN } from '../../tools/servers/site.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const STEPPING = { site: { 'map "" $size_steps { default off; }': 'map "" $size_steps { default on; }' } } as const
const POLICY = { SIZE_POLICY: 'steps', SIZES: '400w,q80 1200w630h,cover', MEZZANINE_MIN_PIXELS: '0' } as const
const REQUESTS = 2000
const AT_ONCE = 8

/** The most files that one picture can have, as `--help` prints it. */
function printedBound(env: Readonly<Record<string, string>>): number {
  const help = execFileSync(process.execPath, [MAIN, '--help'], { env: { ...process.env, ...env }, encoding: 'utf8' })
  return Number(/one picture has at most (\d+) files in the cache\.\n$/.exec(help)?.[1])
}

async function filesOf(cacheDir: string): Promise<readonly string[]> {
  const entries = await readdir(join(cacheDir, 'renditions', 'image'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

async function uploaded(url: string, name = 'fig-alpha.png'): Promise<Record<string, unknown>> {
  return jsonFields(await (await upload(url, await fixture(name), 'image/png', TOKEN)).text())
}

test(`${REQUESTS} distinct specs of one picture make no more renders and files than the printed bound, and no error`, async (t) => {
  const { node, url } = await startSite(t, POLICY, STEPPING)
  const { id } = await uploaded(url)
  const counts = new Map<number, number>()
  const specs = distinctSpecs(REQUESTS)[Symbol.iterator]()
  const ask = async () => {
    for (const spec of specs) {
      const { status } = await rawRequest(url, `/image/${String(id)}/${spec}.webp`)
      counts.set(status, (counts.get(status) ?? 0) + 1)
      // Sizes and crops are pictures; a quality that is not listed is refused.
      assert.equal(status, /,q(?!80)/.test(spec) ? 403 : 200, spec)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, ask))
  assert.equal((counts.get(200) ?? 0) + (counts.get(403) ?? 0), REQUESTS)
  const bound = printedBound(POLICY)
  await backgroundIsDone(node)
  const files = await filesOf(node.cacheDir)
  t.diagnostic(`${files.length} files of at most ${bound}; ${JSON.stringify(Object.fromEntries(counts))}`)
  assert.ok(bound > 0 && files.length <= bound, `${files.length} files of at most ${bound}`)
  // In one format there are far fewer than requests.
  assert.ok(files.length < REQUESTS / 4, `${files.length} files`)
  const renders = await node.metric('darkroom_render_duration_seconds_count')
  assert.ok(renders > 0 && renders <= files.length, `${renders} renders`)
})

test('A size between steps is the picture of its step at every kind of URL, with the same headers as the step itself', async (t) => {
  const { node, url } = await startSite(t, POLICY, STEPPING)
  const record = await uploaded(url)
  const image = `/image/${String(record['id'])}`
  for (const origin of [url, node.url]) {
    for (const [asked, step] of [
      ['50w.png', '80w.png'],
      ['50w/x.png', '80w/x.png'],
      ['50w40h.png', '80w40h.png'],
      ['60s.png', '80s.png'],
      ['45h', '80h'],
      ['50w,q80.png', '80w,q80.png'],
      ['50w38h,cover.png', '80w60h,cover.png'],
    ]) {
      const [served, itself] = [
        await rawRequest(origin, `${image}/${asked}`),
        await rawRequest(origin, `${image}/${step}`),
      ]
      assert.equal(served.status, 200, asked)
      assert.deepEqual(served.body, itself.body, asked)
      for (const name of ['content-type', 'cache-control', 'etag', 'vary', 'cache-tag']) {
        assert.equal(served.headers[name], itself.headers[name], `${name} of ${asked}`)
      }
    }
    const { status, body } = await rawRequest(origin, `${image}/50w,q81.png`)
    assert.deepEqual([status, jsonFields(body).error], [403, 'size_not_allowed'])
    assert.match(
      String(jsonFields(body).message),
      /^"50w,q81" is not an allowed combination: write .*400w,q80.* \(SIZES\)$/,
    )
  }
  const { width } = await sharp((await rawRequest(url, `${image}/50w.png`)).body).metadata()
  assert.equal(width, 80)
})

test('By setting, a size between steps is redirected to its step', async (t) => {
  const { url } = await startSite(t, { ...POLICY, SIZES_FALLBACK: 'redirect' })
  const { id } = await uploaded(url)
  for (const round of [1, 2]) {
    const { status, headers } = await rawRequest(url, `/image/${String(id)}/50w/x.png?v=1`)
    assert.deepEqual([status, headers.location], [302, `/image/${String(id)}/80w/x.png?v=1`], `round ${round}`)
    assert.equal(headers['cache-control'], 'public, max-age=3600')
    assert.equal((await rawRequest(url, String(headers.location))).status, 200)
  }
})

test('Remote images and the URLs of other services have the same steps', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  pages.set('/fig.png', { body: await fixture('fig-alpha.png'), headers: { 'Content-Type': 'image/png' } })
  // thumbor enlarges, so its crops have `up`.
  const dialect = { DIALECTS: 'thumbor=/thumbor', THUMBOR_BASE: 'image/' }
  const { node, url } = await startSite(t, { ...POLICY, ...env, ...dialect, SIZES: '400w300h,cover,up' }, STEPPING)
  const { id } = await uploaded(url)
  const remote = (size: string) => `/image?url=${encodeURIComponent(`${origin}/fig.png`)}&size=${size}&format=png`
  for (const [asked, step] of [
    [remote('50w'), remote('80w')],
    [`/thumbor/unsafe/50x38/${String(id)}`, `/thumbor/unsafe/80x60/${String(id)}`],
  ]) {
    const [served, itself] = [await rawRequest(url, asked ?? ''), await rawRequest(url, step ?? '')]
    assert.deepEqual([served.status, itself.status], [200, 200], String(served.body))
    assert.deepEqual(served.body, itself.body)
  }
  for (const refused of [remote('50w,q3'), `/thumbor/unsafe/50x38/filters:quality(3)/${String(id)}`]) {
    assert.equal((await rawRequest(url, refused)).status, 403)
  }
  const names = await filesOf(node.cacheDir)
  assert.ok(
    names.every((name) => !name.startsWith('50w')),
    names.join(' '),
  )
})

test('Records offer steps, and sizes ahead are rendered as steps', async (t) => {
  const { node, url } = await startSite(t, { ...POLICY, PRIME_SIZES: '390w' }, STEPPING)
  const response = await fetch(`${url}/images?sizes=50w+60w`, {
    method: 'POST',
    headers: { 'Content-Type': 'image/jpeg', Authorization: `Bearer ${TOKEN}` },
    body: new Uint8Array(await fixture('mountains.jpg')),
  })
  const { id, urls, width } = jsonFields(await response.text())
  const { src, srcset } = jsonFields(JSON.stringify(urls))
  const steps = [160, 240, 320, 480, 640, 800, 1024, 1280].filter(
    (_, index, all) => (all[index - 1] ?? 0) < Number(width),
  )
  assert.equal(
    srcset,
    steps.map((side) => `/image/${String(id)}/${side}w ${Math.min(side, Number(width))}w`).join(', '),
  )
  assert.equal((await rawRequest(url, String(src))).status, 200)
  await backgroundIsDone(node)
  const ahead = new Set((await filesOf(node.cacheDir)).map((name) => name.split('.')[0]))
  for (const size of ['480w', '80w']) assert.ok(ahead.has(size), [...ahead].join(' '))
  for (const size of ['390w', '50w', '60w']) assert.ok(!ahead.has(size), [...ahead].join(' '))
  const refused = await fetch(`${url}/images?sizes=50w,q3`, {
    method: 'POST',
    headers: { 'Content-Type': 'image/jpeg', Authorization: `Bearer ${TOKEN}` },
    body: new Uint8Array(await fixture('mountains.jpg')),
  })
  assert.equal(refused.status, 403)
})
