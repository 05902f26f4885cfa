import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { logged } from '../../tools/requests/ask.ts'
import { parseAnswers, type RawAnswer, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { AUTHORIZATION } from '../../tools/servers/site.ts'
import { hostileHeads, smuggling } from '../support/hostile-heads.ts'
import { oddities, traversals } from '../support/hostile-paths.ts'
import { startWholeSite, type WholeSite } from '../support/whole-site.ts'

const OUTSIDE = 'this-is-outside-of-all-that-is-served'
/** Redirects to another spelling and to nowhere else; refusals; and a host that may not be asked. */
const REFUSALS = [301, 400, 401, 403, 404, 405, 413, 414, 415, 417, 431, 501]

/** Sends a path as it stands, byte for byte. */
async function get(origin: string, path: string): Promise<RawAnswer | undefined> {
  const head = `GET ${path} HTTP/1.1\r\nHost: pictures.example\r\nConnection: close\r\n\r\n`
  const [answer, ...more] = parseAnswers(await rawExchange(origin, head))
  assert.deepEqual(more, [], path)
  return answer
}

function assertRefused(answer: RawAnswer | undefined, what: string): void {
  assert.ok(answer, what)
  assert.ok(REFUSALS.includes(answer.status), `${what}: ${answer.status} ${answer.body.slice(0, 200)}`)
  assert.equal(answer.headers['x-content-type-options'], 'nosniff', what)
  assert.ok(!answer.body.includes(OUTSIDE) && !answer.body.includes('root:'), what)
  // Within this service, and not on a host of somebody's choice.
  if (answer.status === 301) assert.match(answer.headers['location'] ?? '', /^\/(?![/\\])/, what)
}

/** Runs over a table, a few at a time. */
async function each<T>(cases: readonly T[], check: (one: T) => Promise<void>): Promise<void> {
  const queue = cases.values()
  const work = async () => {
    for (const one of queue) await check(one)
  }
  await Promise.all([work(), work(), work(), work(), work(), work()])
}

/** The picture that an honest client sees before, beside and after all of this. */
async function assertGoodClient({ origins, pictures }: WholeSite): Promise<void> {
  for (const origin of Object.values(origins)) {
    const { status, headers } = await rawRequest(origin, pictures['upload'] ?? '')
    assert.deepEqual([status, headers['content-type']], [200, 'image/jpeg'])
  }
}

test('Hostile requests are refused, and nobody else notices', async (t) => {
  const site = await startWholeSite(t)
  const { node, origins, id } = site
  for (const folder of ['.', 'renditions', 'originals', 'tmp', '..']) {
    await writeFile(join(node.cacheDir, folder, 'outside.txt'), OUTSIDE)
  }
  await assertGoodClient(site)

  await t.test('No path leads out of what is served, however it is encoded', async () => {
    const paths = traversals(id)
    for (const [from, origin] of Object.entries(origins)) {
      // The front only passes on: some of them will do.
      const some = from === 'front' ? paths.filter((_, index) => index % 5 === 0) : paths
      await each(some, async (path) => assertRefused(await get(origin, path), `${path} at the ${from}`))
    }
  })

  await t.test('No path that is wrong in some way is an error of ours', async () => {
    for (const [from, origin] of Object.entries(origins)) {
      await each(oddities(id), async (path) => {
        const answer = await get(origin, path)
        // Each of these is a valid spelling of something, for one reader or the other.
        if (answer?.status === 200) assert.match(path, /^\/(?:\/|image\/[^/]+\/40w)/, `${path} at the ${from}`)
        else assertRefused(answer, `${path} at the ${from}`)
      })
    }
  })

  await t.test('What two servers might read differently is refused, and never becomes two requests', async () => {
    for (const [from, origin] of Object.entries(origins)) {
      await each(Object.entries(smuggling('smuggled')), async ([name, bytes]) => {
        const text = await rawExchange(origin, bytes)
        const what = `${name} at the ${from}: ${JSON.stringify(text.slice(0, 300))}`
        const answers = parseAnswers(text)
        assert.ok(answers.length <= 1, what)
        for (const { status, body } of answers) {
          assert.ok(status < 500 || status === 501, what)
          assert.ok(!body.includes('smuggled'), what)
        }
      })
      await assertGoodClient(site)
    }
    await assertNeverSeen(site, 'smuggled')
  })

  await t.test('Requests in a row on one connection are answered in order, each with its own', async () => {
    for (const origin of [origins.node, origins.nginx, origins.front]) {
      const paths = [`/images/${id}`, '/nothing', `/images/${id}/original`, '/healthz']
      const heads = paths.map((path, index) => {
        const last = index === paths.length - 1 ? 'Connection: close\r\n' : ''
        return `GET ${path} HTTP/1.1\r\nHost: a\r\n${last}\r\n`
      })
      const answers = parseAnswers(await rawExchange(origin, heads.join('')))
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 404, 401, 200],
      )
      assert.equal(jsonFields(answers[0]?.body).id, id)
      // What comes after them and is no request is not answered in their place.
      const spoilt = parseAnswers(await rawExchange(origin, `${heads[0]}nonsense\r\n\r\n`))
      const [first, second] = spoilt.map(({ status }) => status)
      assert.ok(first === undefined || first === 200, String(first))
      assert.ok(second === undefined || second === 400, String(second))
    }
  })

  await t.test('Heads that lie, repeat themselves or never end change nothing', async () => {
    const unexpected: string[] = []
    for (const [from, origin] of Object.entries(origins)) {
      await each(Object.entries(hostileHeads(site)), async ([name, { bytes, statuses }]) => {
        const answers = parseAnswers(await rawExchange(origin, bytes))
        const what = `${name} at the ${from}`
        const [answer, ...more] = answers
        assert.ok(answer && more.length === 0, what)
        const { status, headers } = answer
        const told = JSON.stringify(headers)
        for (const lie of ['evil.example', 'hacked']) assert.ok(!told.includes(lie), `${what}: ${told}`)
        // Where the node only points its nginx at a file, it is nginx that looks at conditions and ranges.
        if (headers['x-accel-redirect'] !== undefined) return
        if (!statuses.includes(status)) unexpected.push(`${what}: ${status}`)
        assert.equal(headers['x-content-type-options'], 'nosniff', what)
      })
    }
    assert.deepEqual(unexpected, [])
  })

  await assertNoKeyIsConfused(t, site)
  await assertGoodClient(site)
  assert.deepEqual(
    (await node.log()).filter(({ level }) => level === 'error'),
    [],
    'nothing of this was a surprise to the node',
  )
})

/** Waits for a request of its own in the log, so that all before it are there too. */
async function assertNeverSeen({ node, origins }: WholeSite, name: string): Promise<void> {
  await rawRequest(origins.node, '/the-last-of-these')
  await logged(node, ({ path }) => path === '/the-last-of-these')
  const seen = (await node.log()).filter(({ path }) => String(path).includes(name))
  assert.deepEqual(seen, [])
}

/** What is in no cache's key must not change what others get. */
async function assertNoKeyIsConfused(t: TestContext, site: WholeSite): Promise<void> {
  const { node, nginx, origins, pictures } = site
  const lies = {
    Host: 'evil.example',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'gopher',
    'X-Forwarded-For': '127.0.0.1, 10.0.0.1',
    'X-Forwarded-Prefix': '/evil',
    Forwarded: 'for=127.0.0.1;host=evil.example;proto=https',
    'X-Original-URL': '/metrics',
    'X-Rewrite-URL': '/metrics',
    'X-HTTP-Method-Override': 'DELETE',
    'X-Render-Again': '1',
    'X-Not-On-Disk': '1',
    X_Render_Again: '1',
    'X-Darkroom-Front': '1',
    'X-Darkroom-Next-Node': '425',
    'X-Darkroom-Cache-Control': 'public, max-age=1',
    'X-Darkroom-Tier': 'evil',
    'X-Accel-Redirect': '/_renditions/outside.txt',
    'X-Accel-Expires': '0',
    'X-Sendfile': '/etc/passwd',
    'Cache-Control': 'no-cache, no-store',
    Pragma: 'no-cache',
    Cookie: 'a=b',
    'Accept-Encoding': 'gzip, br',
    'Accept-Language': 'tlh',
    Origin: 'https://evil.example',
    'Content-Type': 'text/html',
    'User-Agent': '<script>',
  }
  const essence = async (origin: string, path: string, headers: Readonly<Record<string, string>>) => {
    const answer = await rawRequest(origin, path, { headers })
    const {
      etag,
      vary,
      location,
      'cache-control': caching,
      'content-type': type,
      'access-control-allow-origin': allowed,
    } = answer.headers
    // How much of its time is left is not to the point.
    const kept = caching?.replace(/max-age=\d+/, 'max-age')
    return { status: answer.status, etag, vary, location, kept, type, allowed, body: answer.body.toString('latin1') }
  }

  await t.test('No header that is in no cache’s key changes an answer, or has anything made anew', async () => {
    const paths = [...Object.values(pictures), `/images/${site.id}`, `/image/${site.id}/40W/x.jpg`, '/nothing']
    for (const origin of [origins.nginx, origins.front]) {
      const honest = new Map<string, unknown>()
      for (const path of paths) honest.set(path, await essence(origin, path, {}))
      const renders = await node.metric('darkroom_render_duration_seconds_count')
      const fetches = site.remote.requests.length
      for (const path of paths) {
        assert.deepEqual(await essence(origin, path, lies), honest.get(path), path)
        assert.deepEqual(await essence(origin, path, {}), honest.get(path), `${path} afterwards`)
      }
      assert.equal(await node.metric('darkroom_render_duration_seconds_count'), renders)
      assert.equal(site.remote.requests.length, fetches)
    }
    // A node that is reached past its nginx believes nginx's word. It costs a look at the disk, and no render.
    const renders = await node.metric('darkroom_render_duration_seconds_count')
    for (const path of Object.values(pictures)) {
      const { status } = await rawRequest(origins.node, path, { headers: { 'X-Render-Again': '1' } })
      assert.equal(status, 200, path)
    }
    assert.equal(await node.metric('darkroom_render_duration_seconds_count'), renders)
  })

  await t.test('Whatever a client accepts, it gets one of three answers, and a cache is told so', async () => {
    const path = pictures['negotiated'] ?? ''
    const odd = [
      '',
      '*/*',
      'image/*',
      'image/avif;q=0',
      'IMAGE/WEBP',
      'image/avif\timage/webp',
      ';;;,,,',
      'text/html',
      'a'.repeat(900),
    ]
    const slow = [
      `${' image/avif'.repeat(500)};q=0`,
      `${' image/avif;'.repeat(500)}q=0`,
      `image/avif;${' '.repeat(6000)}q=x`,
    ]
    for (const accept of [...odd, ...slow]) {
      const { status, headers } = await rawRequest(nginx.origin, path, { headers: { Accept: accept } })
      assert.deepEqual([status, headers.vary], [200, 'Accept'], accept)
      assert.match(String(headers['content-type']), /^image\/(?:avif|webp|jpeg)$/)
    }
  })

  await t.test('Of a private answer a shared cache keeps nothing, and the public one is another', async () => {
    for (const origin of Object.values(origins)) {
      const path = `/images/${site.id}/info`
      const trusted = await rawRequest(origin, path, { headers: AUTHORIZATION })
      const plain = await rawRequest(origin, path)
      assert.match(String(trusted.headers['cache-control']), /^private\b/)
      assert.deepEqual([trusted.headers.vary, plain.headers.vary], ['Authorization', 'Authorization'])
      assert.notEqual(trusted.headers.etag, plain.headers.etag)
      assert.equal(jsonFields(plain.body).exif, undefined)
      // A name at the end does not make something cacheable of it.
      for (const named of [
        `/images/${site.id}/original/x.jpg`,
        `/images/${site.id}/info/x.css`,
        `/images/${site.id}/info;x.css`,
      ]) {
        assert.ok([400, 404].includes((await rawRequest(origin, named, { headers: AUTHORIZATION })).status), named)
      }
    }
  })
}
