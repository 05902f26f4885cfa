import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { problemOfError } from '../../tools/fuzz/fuzz-finding.ts'
import { problemOfPicture } from '../../tools/fuzz/fuzz-images.ts'
import { ALL_FORMATS } from '../../tools/fuzz/fuzz-site.ts'
import { residentBytes } from '../../tools/processes/process-use.ts'
import { rendererPids } from '../../tools/processes/renderers.ts'
import { type Answer, ask } from '../../tools/requests/ask.ts'
import { parseAnswers, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { untilLogged } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startSite } from '../../tools/servers/site.ts'
import { FOUND_FILES, FOUND_REQUESTS, type FoundFile } from '../fixtures/hostile/cases.ts'
import { startWholeSite } from '../support/whole-site.ts'

const FOLDER = new URL('../fixtures/hostile/', import.meta.url)
const MB = 1e6
/** What all renders may have, and what a renderer has besides. */
const RENDER_MEMORY = 200 * MB
const REST = 200 * MB
const LATE_MS = 10_000
const VIEWS = ['100w/x.jpg', 'full/x.webp'] as const

test('No request that ever ended a node, or got more or less than an error, does so again', async (t) => {
  const { node, origins } = await startWholeSite(t)
  for (const { did, bytes } of FOUND_REQUESTS) {
    for (const [from, origin] of Object.entries(origins)) {
      const what = `${JSON.stringify(bytes)}, which ${did}, at the ${from}`
      const answers = parseAnswers(await rawExchange(origin, bytes))
      assert.equal(answers.length, 1, what)
      const [{ status, headers, body }] = [answers[0] ?? assert.fail(what)]
      assert.equal(headers['x-content-type-options'], 'nosniff', what)
      // The host of a whole URL counts for nothing: without it some are the home page.
      if (status === 200 && /^GET http:\/\/[^/]*\/ /.test(bytes)) continue
      assert.ok(status >= 400 && status < 500, `${what}: ${status}`)
      const isBrief = status === 404 && headers['cache-control'] === 'public, max-age=5'
      assert.ok(headers['cache-control'] === 'no-store' || isBrief, `${what}: ${headers['cache-control']}`)
      assert.equal(typeof jsonFields(body)['error'], 'string', what)
    }
  }
  // Lines are written in bundles: when the last is there, all are.
  await rawExchange(origins.node, 'GET /the-last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await untilLogged(node, ({ path }) => path === '/the-last')
  const log = await node.log()
  assert.equal(log.filter(({ msg }) => msg === 'listening').length, 1)
  assert.deepEqual(
    log.filter(({ level }) => level === 'error'),
    [],
  )
})

/** Those that lie in the folder: of them it is only known that they must do no harm. */
async function keptFiles(): Promise<readonly FoundFile[]> {
  const names = (await readdir(FOLDER)).filter((name) => !/\.(?:ts|md)$/.test(name))
  return names.map((name) => ({
    did: name,
    name,
    contentType: 'application/octet-stream',
    make: () => readFile(new URL(name, FOLDER)),
    statuses: [201, 413, 415, 422],
  }))
}

test('No file that ever took too much memory or time, or crashed a decoder, does so again', async (t) => {
  // A drawing is given up after three seconds instead of eight.
  const env = { INPUT_FORMATS: ALL_FORMATS, RENDER_MEMORY_BYTES: String(RENDER_MEMORY), RENDER_TIMEOUT_SECONDS: '2' }
  const { node, url } = await startSite(t, env)
  for (const { did, name, contentType, make, statuses } of [...FOUND_FILES, ...(await keptFiles())]) {
    const what = `${name}, which ${did}`
    const renderers = await rendererPids(node.pid)
    const headers = { 'Content-Type': contentType, ...AUTHORIZATION }
    const uploaded = await ask(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(await make()) })
    assert.ok(statuses.includes(uploaded.status), `${what}: ${uploaded.status} ${uploaded.body.toString()}`)
    assertNoProblem(uploaded, what)
    if (uploaded.status === 201) {
      const id = String(jsonFields(uploaded.body)['id'])
      for (const view of VIEWS) assertNoProblem(await ask(`${url}/image/${id}/${view}`), `${what}, ${view}`)
    }
    for (const pid of renderers) {
      // One that was late has been ended, and has no memory any more.
      const peak = await residentBytes(pid).then(
        (bytes) => bytes.peak,
        () => 0,
      )
      assert.ok(Number.isNaN(peak) || peak < RENDER_MEMORY + REST, `${what} took ${peak} bytes`)
    }
  }
  assert.equal(await node.metric('darkroom_renderer_crashes_total'), 0)
  assert.equal((await node.log()).filter(({ msg }) => msg === 'listening').length, 1)
})

function assertNoProblem(answer: Answer, what: string): void {
  assert.ok(answer.ms < LATE_MS, `${what} took ${answer.ms} ms`)
  if (answer.status === 201) return
  assert.equal(answer.status === 200 ? problemOfPicture(answer) : problemOfError(answer), undefined, what)
}
