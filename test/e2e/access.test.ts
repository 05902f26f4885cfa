import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { commandOutput } from '../../tools/processes/process.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { form } from '../../tools/requests/form.ts'
import { jsonFields, type RawRequest, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { type Darkroom, fixture, untilLogged, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'
import { startForeignProxy } from '../support/foreign-proxy.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url))

/** A node as a newcomer starts it: no token is configured. */
async function startBare(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly node: Darkroom; readonly tokenFile: string; readonly env: Readonly<Record<string, string>> }> {
  const folder = join(await temporaryFolder(t), 'data')
  const all = { STORE: `file:${folder}`, UPLOAD_TOKENS: '', ...env }
  const node = await startNodeFor(t, { env: all })
  return { node, tokenFile: join(folder, 'upload-token'), env: all }
}

async function readToken(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim()
}

function assertRefused({ status, body }: RawResponse, expected: readonly [number, string], message: RegExp): void {
  const { error, message: said } = jsonFields(body)
  assert.deepEqual([status, error], expected)
  assert.match(String(said), message)
}

test('A stranger behind a foreign proxy cannot write to a bare node, or read an original, and no header changes that', async (t) => {
  const { node, tokenFile } = await startBare(t)
  const proxied = await startForeignProxy(t, node.port)
  const token = await readToken(tokenFile)
  const id = await uploadFixture(proxied, 'mountains-gps.jpg', token)
  const body = await fixture('fig-alpha.png')
  const host = `127.0.0.1:${node.port}`
  const strangers: readonly Readonly<Record<string, string>>[] = [
    {},
    { Host: host },
    { Host: 'localhost', Origin: 'http://localhost' },
    { Host: host, Origin: `http://${host}` },
    { 'X-Forwarded-For': '127.0.0.1' },
    { Forwarded: 'for=127.0.0.1' },
    { Authorization: 'Bearer undefined' },
    { Authorization: `Bearer ${token.slice(1)}` },
  ]
  for (const origin of [proxied, node.url]) {
    for (const stranger of strangers) {
      const uploading = { method: 'POST', headers: { ...stranger, 'Content-Type': 'image/png' }, body }
      assertRefused(
        await rawRequest(origin, '/images', uploading),
        [401, 'token_required'],
        /Uploading requires a token: send/,
      )
      const asked = { headers: stranger }
      const original = await rawRequest(origin, `/images/${id}/original`, asked)
      assertRefused(original, [401, 'token_required'], /Access to originals requires a token: send/)
      const deleted = await rawRequest(origin, `/images/${id}`, { ...asked, method: 'DELETE' })
      assertRefused(deleted, [401, 'token_required'], /Deletion requires a token: send/)
      const info = await rawRequest(origin, `/images/${id}/info`, asked)
      assert.deepEqual([info.status, jsonFields(info.body)['metadata']], [200, undefined])
      const { headers, body: parts } = form([
        ['name="key"', 'anything'],
        ['name="image"; filename="a.png"', body],
      ])
      const posted = await rawRequest(origin, '/', {
        method: 'POST',
        headers: { ...stranger, ...headers },
        body: parts,
      })
      assertRefused(posted, [401, 'token_required'], /Uploading requires a token: send it in the field "key"/)
    }
    assert.equal((await rawRequest(origin, `/image/${id}/40w/x.jpg`)).status, 200)
  }
  const holder = { Authorization: `Bearer ${token}`, Host: 'img.example', Origin: 'https://page.example' }
  assert.equal((await rawRequest(proxied, `/images/${id}/original`, { headers: holder })).status, 200)
  assert.ok(jsonFields((await rawRequest(proxied, `/images/${id}/info`, { headers: holder })).body)['metadata'])
  assert.equal((await rawRequest(proxied, `/images/${id}`, { method: 'DELETE', headers: holder })).status, 204)
})

test('The first start saves a token for its user alone, and prints a command that uploads and a link with the token', async (t) => {
  const { node, tokenFile, env } = await startBare(t)
  const token = await readToken(tokenFile)
  assert.match(token, /^[0-9a-f]{48}$/)
  assert.equal((await stat(tokenFile)).mode & 0o777, 0o600)
  const printed = await node.output()
  assert.ok(printed.includes(`\n  ${node.url}/#token=${token}\n`), printed)
  const command = /^ {2}(?<command>curl .*)$/m.exec(printed)?.groups?.['command'] ?? ''
  assert.ok(!command.includes(token))
  const answer = await commandOutput('sh', ['-c', command.replace('@photo.jpg', `@${FIXTURES}/mountains.jpg`)])
  assert.equal(jsonFields(answer)['width'], 1200)
  assert.ok(!JSON.stringify(await node.log()).includes(token), 'the token is in no line of the log')

  await node.stop()
  const second = await startNodeFor(t, { env })
  assert.equal(await readToken(tokenFile), token)
  const kept = await second.output()
  assert.ok(kept.includes(`\n  ${second.url}/\n`) && kept.includes(`$(cat ${tokenFile})`), kept)
  assert.ok(!kept.includes(token), 'a later start whose output goes to a log does not print it')
  assert.equal((await upload(second.url, await fixture('fig-alpha.png'), 'image/png', token)).status, 201)
  await second.stop()

  const third = await startNodeFor(t, {
    env,
    through: ['sh', '-c', 'exec script -qefc "$(printf "%s " "$@")" /dev/null', 'sh'],
  })
  while (!(await third.output()).includes('in a browser')) await fetch(`${third.url}/healthz`)
  assert.ok((await third.output()).includes(`${third.url}/#token=${token}\r\n`), 'a terminal gets the link each time')
})

test('Several first starts at once agree on one token', async (t) => {
  const folder = join(await temporaryFolder(t), 'data')
  const env = { STORE: `file:${folder}`, UPLOAD_TOKENS: '' }
  const nodes = await Promise.all(Array.from({ length: 4 }, () => startNodeFor(t, { env })))
  const token = await readToken(join(folder, 'upload-token'))
  const bytes = await fixture('fig-alpha.png')
  const statuses: number[] = []
  for (const { url } of nodes) statuses.push((await upload(url, bytes, 'image/png', token)).status)
  assert.deepEqual(statuses, [201, 200, 200, 200])
  const outputs = await Promise.all(nodes.map((node) => node.output()))
  assert.equal(outputs.filter((output) => output.includes(`#token=${token}`)).length, 1, 'one of them has made it')
})

const SPOILED: Readonly<Record<string, readonly [(file: string) => Promise<unknown>, RegExp]>> = {
  'is empty': [(file) => writeFile(file, '\n'), /does not contain a token of at least 16 characters/],
  'is too short': [
    (file) => writeFile(file, 'fifteen-letters\n'),
    /does not contain a token of at least 16 characters/,
  ],
  'holds two words': [
    (file) => writeFile(file, 'the-first-of-two-tokens the-second-of-two-tokens'),
    /does not contain a token/,
  ],
  'cannot be read': [(file) => mkdir(file), /cannot be read \(EISDIR\)/],
  'is a link to nothing': [(file) => symlink('nowhere', file), /is a dangling symbolic link/],
}
for (const [name, [spoil, message]] of Object.entries(SPOILED)) {
  test(`A token file that ${name} ends the start with a message that names the file and the remedy`, async (t) => {
    const folder = await temporaryFolder(t)
    await mkdir(join(folder, 'data'))
    await spoil(join(folder, 'data/upload-token'))
    const { code, problems } = await runToEnd(folder)
    assert.equal(code, 2)
    assert.match(problems, message)
    assert.ok(problems.includes(`STORE: ${join(folder, 'data/upload-token')} `), problems)
    assert.doesNotMatch(problems, /fifteen|first-of-two/)
  })
}

/** Starts a bare node that is to end by itself. */
async function runToEnd(cwd: string): Promise<{ readonly code: number | null; readonly problems: string }> {
  const env = { PATH: process.env['PATH'] ?? '', PORT: '0' }
  const child = spawn(process.execPath, [MAIN], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 60_000 })
  const ended = once(child, 'close')
  const problems = await text(child.stderr)
  await ended
  return { code: child.exitCode, problems }
}

/** Fails unless the node refuses all that needs a token, does the rest, and says why. */
async function assertServesOnly(node: Darkroom, id: string, why: RegExp): Promise<void> {
  const bearer = { Authorization: 'Bearer undefined-undefined' }
  const body = await fixture('fig-alpha.png')
  const refused: readonly (readonly [string, RawRequest, RegExp])[] = [
    ['/images', { method: 'POST', headers: { ...bearer, 'Content-Type': 'image/png' }, body }, /^Uploading /],
    ['/', { method: 'POST', ...form([['name="key"', 'undefined-undefined']]) }, /^Uploading /],
    [`/images/${id}`, { method: 'DELETE', headers: bearer }, /^Deletion /],
    [`/images/${id}/original`, { headers: bearer }, /^Access to originals /],
  ]
  for (const [path, request, what] of refused) {
    const answer = await rawRequest(node.url, path, request)
    assertRefused(answer, [403, 'tokens_not_configured'], what)
    assertRefused(answer, [403, 'tokens_not_configured'], /set UPLOAD_TOKENS, .*"openssl rand -hex 32"$/)
  }
  const info = await rawRequest(node.url, `/images/${id}/info`, { headers: bearer })
  assert.deepEqual([info.status, jsonFields(info.body)['metadata']], [200, undefined])

  const ready = await rawRequest(node.url, '/readyz')
  const { status, reasons, notes } = jsonFields(ready.body)
  assert.deepEqual([ready.status, status, reasons], [200, 'ready', []])
  assert.match(String(notes), why)
  const isWarning = ({ msg }: Readonly<Record<string, unknown>>) => String(msg).startsWith('This node is read-only')
  const { level, msg } = await untilLogged(node, isWarning)
  assert.deepEqual([level, [msg]], ['warn', notes])
  assert.equal((await node.log()).filter(isWarning).length, 1)
  assert.equal((await rawRequest(node.url, `/image/${id}/40w/x.jpg`, { method: 'HEAD' })).status, 200)
}

test('Without tokens a node with an S3 store only serves', async (t) => {
  const { env } = await newStore()
  const writer = await startNodeFor(t, { env })
  const id = await uploadFixture(writer.url, 'mountains-gps.jpg')
  const node = await startNodeFor(t, { env: { ...env, UPLOAD_TOKENS: '' } })
  await assertServesOnly(node, id, /UPLOAD_TOKENS is empty, and no token is generated because STORE is an S3 bucket\./)
})

for (const [setting, why] of [
  [{ ACCEL_PREFIX: '/_renditions/' }, /because ACCEL_PREFIX is set\./],
  [{ HOST: '0.0.0.0' }, /because HOST is not a loopback address\./],
] as const) {
  test(`Without tokens a node with ${JSON.stringify(setting)} only serves, and leaves a token that was generated alone`, async (t) => {
    const { node: bare, tokenFile, env } = await startBare(t)
    const token = await readToken(tokenFile)
    const id = await uploadFixture(bare.url, 'mountains-gps.jpg', token)
    await bare.stop()
    const node = await startNodeFor(t, { env: { ...env, ...setting } })
    await assertServesOnly(node, id, why)
    assertRefused(await post(node, token), [403, 'tokens_not_configured'], /UPLOAD_TOKENS/)
    assert.equal(await readToken(tokenFile), token)
    assert.ok(!(await node.output()).includes(token))
  })
}

test('On a folder that can only be read a node without a token serves only, and is ready', async (t) => {
  const disk = await mountSmallDisk(t, 24)
  const STORE = `file:${disk.path}`
  const writer = await startNodeFor(t, { env: { STORE } })
  const id = await uploadFixture(writer.url, 'mountains-gps.jpg')
  await writer.stop()
  await disk.remount('ro')
  const node = await startNodeFor(t, { env: { STORE, UPLOAD_TOKENS: '' } })
  await assertServesOnly(node, id, /no token could be saved in the folder of STORE \(EROFS\)/)
})

async function post(node: Darkroom, token: string): Promise<RawResponse> {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'image/png' }
  return await rawRequest(node.url, '/images', { method: 'POST', headers, body: await fixture('fig-alpha.png') })
}
