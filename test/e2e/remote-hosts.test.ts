import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { formatPictureUrl, parsePictureUrl, signedPath } from '../../src/domain/url/picture-url.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startRemoteHost } from '../../tools/servers/remote-host.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startNodeFor, startSite, temporaryFolder } from '../../tools/servers/site.ts'
import { startStubDns } from '../../tools/servers/stub-dns.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const KEY = 'a-key-for-the-urls-of-this-test'

const pathOf = (url: string) => `/image?url=${encodeURIComponent(url)}&size=100w&format=jpg`

function signed(path: string): string {
  const request = parsePictureUrl(path)
  return `${formatPictureUrl(request)}&${formatSignature(signPath(signedPath(request), KEY))}`
}

test('REMOTE_HOSTS=* without signed URLs is refused at the start, with the reason', async (t) => {
  const folder = await temporaryFolder(t)
  for (const SIZE_POLICY of ['open', 'list']) {
    const env = { STORE: `file:${folder}/data`, CACHE_DIR: `${folder}/cache`, PORT: '0', SIZE_POLICY, SIZES: '400w' }
    const node = spawn(process.execPath, [MAIN], {
      env: { ...env, REMOTE_HOSTS: '*', ...(SIZE_POLICY === 'open' && { SIZES: '' }) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    t.after(() => node.kill('SIGKILL'))
    const ended = once(node, 'close')
    assert.match(await text(node.stderr), /^REMOTE_HOSTS: "\*" requires SIZE_POLICY=signed: /m)
    await ended
    assert.equal(node.exitCode, 2)
  }
})

test('REMOTE_HOSTS=* with signed URLs serves any host, and still no private address and nothing unsigned', async (t) => {
  const photograph = await fixture('mountains.jpg')
  const host = await startRemoteHost(t, (request, response) => {
    const inside = request.url?.startsWith('/inside')
      ? { Location: `http://inside.test:${host.port}/a.jpg` }
      : undefined
    response.writeHead(inside ? 302 : 200, { 'Content-Type': 'image/jpeg', ...inside }).end(photograph)
  })
  const addresses: Readonly<Record<string, string>> = {
    'a.test': '127.0.0.1',
    'b.elsewhere.test': '127.0.0.1',
    'inside.test': '10.0.0.1',
    'metadata.test': '169.254.169.254',
  }
  const dns = await startStubDns(t, ({ name, type }) => {
    const address = addresses[name]
    return type === 'A' && address !== undefined ? [address] : 'absent'
  })
  const { url } = await startSite(
    t,
    {
      REMOTE_HOSTS: `* *:${host.port}`,
      REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
      REMOTE_DNS: dns.server,
      SIZE_POLICY: 'signed',
      URL_KEYS: KEY,
    },
    { directHits: false },
  )
  for (const name of ['a.test', 'b.elsewhere.test', '127.0.0.1']) {
    const { status, body } = await rawRequest(url, signed(pathOf(`http://${name}:${host.port}/a.jpg`)))
    assert.equal(status, 200, name)
    await assertPicture(body, { format: 'jpeg', width: 100 })
  }
  const asked = host.requests.length
  const FORBIDDEN = [
    `http://inside.test:${host.port}/a.jpg`,
    'http://metadata.test/latest/meta-data',
    'http://169.254.169.254/latest/meta-data',
    'http://127.0.0.2/a.jpg',
    `http://[::1]:${host.port}/a.jpg`,
    `http://[::ffff:127.0.0.1]:${host.port}/a.jpg`,
    'http://a.test:8081/a.jpg',
  ]
  for (const forbidden of FORBIDDEN) {
    const { status, body } = await rawRequest(url, signed(pathOf(forbidden)))
    assert.deepEqual([status, jsonFields(body).error], [403, 'remote_not_allowed'], forbidden)
  }
  assert.equal(host.requests.length, asked)
  const redirected = await rawRequest(url, signed(pathOf(`http://a.test:${host.port}/inside`)))
  assert.deepEqual([redirected.status, jsonFields(redirected.body).error], [403, 'remote_not_allowed'])
  const unsigned = await rawRequest(url, pathOf(`http://a.test:${host.port}/c.jpg`))
  assert.deepEqual([unsigned.status, jsonFields(unsigned.body).error], [403, 'signature_invalid'])
  assert.equal(host.requests.length, asked + 1)
})

test('A query parameter that the list does not name is refused, and the message names those that it does', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  for (const query of ['', '?v=1', '?v=1&utm_source=x']) pages.set(`/a.jpg${query}`, { body: photograph })
  const node = await startNodeFor(t, { env: { ...env, REMOTE_HOSTS: `${env['REMOTE_HOSTS']}?v,id` } })
  for (const query of ['', '?v=1'])
    assert.equal((await rawRequest(node.url, pathOf(`${origin}/a.jpg${query}`))).status, 200)
  for (const path of [
    pathOf(`${origin}/a.jpg?v=1&utm_source=x`),
    `${pathOf(`${origin}/a.jpg?v=1&utm_source=x`).replace(/&size.*/, '')}&size=info`,
  ]) {
    const { status, headers, body } = await rawRequest(node.url, path)
    assert.deepEqual([status, jsonFields(body).error, headers['cache-control']], [400, 'invalid_path', 'no-store'])
    assert.match(
      String(jsonFields(body).message),
      /may contain only the query parameters v, id \(REMOTE_HOSTS\): remove "utm_source"$/,
    )
  }
  assert.equal(host.requests.length, 2)
  await node.stop()
  const kept = await filesBelow(`${String(env['STORE']).slice('file:'.length)}/remotes`)
  assert.equal(kept.filter((file) => file.endsWith('pointer.json')).length, 2)
})
