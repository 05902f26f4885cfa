import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../tools/processes/free-port.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNginxFor, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

interface Run {
  readonly code: number | null
  readonly out: string
  readonly problems: string
}

/** Runs a node that is to end by itself, within ten seconds. */
async function runToEnd(
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  const ended = once(child, 'close')
  const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
  await ended
  return { code: child.exitCode, out, problems }
}

test('SIGTERM under load cuts no request that was accepted, says "not ready" first, and ends in ten seconds', async (t) => {
  const folder = await temporaryFolder(t)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = {
    PORT: String(port),
    STORE: `file:${folder}/data`,
    CACHE_DIR: `${folder}/cache`,
    UPLOAD_TOKENS: TOKEN,
    DRAIN_SECONDS: '1',
  }
  const node = spawn(process.execPath, [MAIN], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => node.kill('SIGKILL'))
  const log = text(node.stdout)
  const ended = once(node, 'exit')
  while (!(await fetch(`${url}/readyz`).catch(() => undefined))?.ok) await delay(20)
  const id = await uploadFixture(url, 'mountains.jpg')

  // Slow ones and quick ones, one after the other on each connection, until the node takes no more.
  const statuses: number[] = []
  let asked = 0
  const viewer = async (number: number) => {
    for (let turn = 0; ; turn += 1) {
      asked += 1
      const path = number % 2 === 0 ? `/image/${id}/${300 + number * 100 + turn}w/x.avif` : `/image/${id}/200w/x.jpg`
      const answer = await rawRequest(url, path).catch(() => undefined)
      // Refused, or the kernel had taken the connection when the node took no more: it has not seen the request.
      if (answer === undefined) return
      statuses.push(answer.status)
    }
  }
  const viewers = Promise.all(Array.from({ length: 8 }, (_, number) => viewer(number)))
  while (statuses.length < 20) await delay(10)
  const askedBefore = asked
  const signalledAt = performance.now()
  node.kill('SIGTERM')
  let ready = await rawRequest(url, '/readyz')
  while (!ready.body.toString().includes('shutting down')) ready = await rawRequest(url, '/readyz')
  assert.equal(ready.status, 503)
  await viewers
  await ended
  assert.equal(node.exitCode, 0)
  assert.ok(performance.now() - signalledAt < 10_000)
  assert.deepEqual([...new Set(statuses)], [200])
  const seen = (await log).split('\n').filter((line) => line.includes('"path":"/image/'))
  assert.deepEqual([...new Set(seen.map((line) => jsonFields(line)['status']))], [200])
  assert.equal(seen.length, statuses.length, 'each request that the node has seen was answered')
  assert.ok(asked > askedBefore + 8, 'it went on answering while it said that it is not ready')
})

test('A node refuses to start with settings that contradict each other, and names all of them at once', async (t) => {
  const folder = await temporaryFolder(t)
  const wrong = {
    STORE: 'ftp://somewhere',
    PORT: '99999',
    MAX_UPLOAD_BYTES: 'much',
    SIZE_POLICY: 'list',
    UPLOAD_TOKENS: 'short',
    LOG_LEVEL: 'loud',
  }
  const { code, problems, out } = await runToEnd(folder, wrong)
  assert.equal(code, 2)
  for (const name of ['STORE', 'PORT', 'MAX_UPLOAD_BYTES', 'SIZES', 'UPLOAD_TOKENS', 'LOG_LEVEL']) {
    assert.match(problems, new RegExp(`^${name}: `, 'm'))
  }
  assert.doesNotMatch(problems, /at .*\.ts:\d+/)
  assert.equal(out, '')
  assert.deepEqual(await readdir(folder), [])
})

test('A port that is taken is a mistake in the settings, which systemd does not try again', async (t) => {
  const folder = await temporaryFolder(t)
  const port = await freePort()
  const other = createServer()
  await once(other.listen(port, '127.0.0.1'), 'listening')
  t.after(() => other.close())
  const { code, problems } = await runToEnd(folder, { PORT: String(port) })
  assert.equal(code, 2)
  const line = `PORT: another process already listens on 127\\.0\\.0\\.1, port ${port}: .+ such as PORT=${port + 1}`
  assert.match(problems, new RegExp(`^Invalid settings:\n${line}\n$`))
})

test('--help prints every setting with its default, and nothing is made', async (t) => {
  const folder = await temporaryFolder(t)
  const { code, out } = await runToEnd(folder, {}, ['--help'])
  assert.equal(code, 0)
  const defaults = {
    STORE: 'file:./data',
    PORT: '8080',
    HOST: '127.0.0.1',
    CACHE_DIR: './cache',
    MAX_FRAMES: '500',
    ACCEL_PREFIX: '.+',
    UPLOAD_TOKENS: '.+',
    SIZE_POLICY: 'open',
    SIZES: '.+',
    URL_KEYS: '.+',
    CACHE_MAX_IDLE_DAYS: '30',
  }
  for (const [name, value] of Object.entries(defaults)) {
    assert.match(out, new RegExp(`^  ${name}\n(?: {6}\\S.*\n)+? {6}Default: ${value}`, 'm'))
  }
  const unknown = await runToEnd(folder, {}, ['--prot=80'])
  assert.equal(unknown.code, 2)
  assert.match(unknown.problems, /--prot/)
  assert.deepEqual(await readdir(folder), [])
})

test('A folder that holds something else is not made a cache', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'thesis.doc'), 'Chapter 1')
  const { code, problems } = await runToEnd('/', { CACHE_DIR: folder, STORE: `file:${folder}/data`, PORT: '0' })
  assert.equal(code, 2)
  assert.match(problems, /^CACHE_DIR: .*thesis\.doc/m)
  assert.deepEqual(await readdir(folder), ['thesis.doc'])
})

test('The cache may be deleted while the node runs: pictures are made again, and kept again', async (t) => {
  const CACHE_DIR = join(await temporaryFolder(t), 'cache')
  const { node, url } = await startSite(t, { CACHE_DIR })
  const bytes = await fixture('mountains.jpg')
  const { id } = jsonFields(await (await upload(url, bytes, 'image/jpeg', TOKEN)).text())
  const path = `/image/${String(id)}/90w`
  const before = await rawRequest(url, path)
  for (const round of [1, 2, 3]) {
    await rm(CACHE_DIR, { recursive: true })
    for (const asked of [path, path, `${path}/x.png`, `/image/${String(id)}/${90 + round}w/new.webp`]) {
      const { status, headers } = await rawRequest(url, asked)
      assert.equal(status, 200)
      assert.match(String(headers['cache-control']), /immutable/)
    }
    assert.deepEqual((await rawRequest(url, path)).body, before.body)
    assert.equal((await upload(url, bytes, 'image/jpeg', TOKEN)).status, 200)
  }
  // For a second after the files are gone nginx still has them open; then they are made once more, and stay.
  const patience = performance.now() + 5000
  for (let hits = 0; hits < 10; ) {
    const { status, headers } = await rawRequest(url, path)
    assert.equal(status, 200)
    hits = headers['server-timing'] === 'cache;desc="nginx"' && existsSync(join(CACHE_DIR, 'renditions')) ? hits + 1 : 0
    assert.ok(performance.now() < patience)
  }
  assert.deepEqual(
    (await node.log()).filter(({ level }) => level === 'error'),
    [],
  )
})

test('A node that starts anew on its cache serves what is in it, the same as before', async (t) => {
  const folder = await temporaryFolder(t)
  const env = { STORE: `file:${folder}/data`, CACHE_DIR: `${folder}/cache` }
  const first = await startNodeFor(t, { env })
  const id = await uploadFixture(first.url, 'mountains.jpg')
  const path = `/image/${id}/90w/x.jpg`
  const before = await rawRequest(first.url, path)
  await first.stop()
  const second = await startNodeFor(t, { env })
  const nginx = await startNginxFor(t, second, { directHits: true })
  for (const origin of [second.url, nginx.origin]) {
    const { status, headers, body } = await rawRequest(origin, path)
    assert.deepEqual([status, headers.etag, body], [200, before.headers.etag, before.body])
  }
  assert.equal(await second.metric('darkroom_render_duration_seconds_count'), 0)
})
