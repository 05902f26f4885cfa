import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFuzzTally, type FuzzReport, problemOfError } from '../../tools/fuzz/fuzz-finding.ts'
import { fuzzForms } from '../../tools/fuzz/fuzz-forms.ts'
import { fuzzImages, problemOfPicture } from '../../tools/fuzz/fuzz-images.ts'
import { fuzzSeeds } from '../../tools/fuzz/fuzz-seeds.ts'
import { startFuzzSite } from '../../tools/fuzz/fuzz-site.ts'
import { fuzzUrls } from '../../tools/fuzz/fuzz-urls.ts'
import { rendererPids } from '../../tools/processes/renderers.ts'
import { ask } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION } from '../../tools/servers/site.ts'

const SEED = 20_261_121
const FILES = 100
const URLS = 700
const FORMS = 60
/** Far more than they take: a slow machine makes fewer of them, and no failure. */
const SECONDS = 20

test('Spoilt files and forms and generated URLs get nothing but pictures and clean errors, from one and the same node', async (t) => {
  const { node, nginx, url, world, publish } = await startFuzzSite(t)
  const shared = { seed: SEED, seconds: SECONDS }
  const seeds = await fuzzSeeds()
  assertClean(await fuzzImages({ ...shared, url, seeds, count: FILES, publish }), FILES)
  const forms = { ...shared, seeds, count: FORMS }
  const ofForms = await Promise.all([
    fuzzForms({ ...forms, port: node.port, server: 'node' }),
    fuzzForms({ ...forms, port: nginx.port, server: 'nginx', seed: SEED + 1 }),
  ])
  for (const each of ofForms) assertClean(each, FORMS)
  assertClean(await fuzzUrls({ ...shared, port: node.port, server: 'node', world, count: URLS }), URLS)
  assertClean(await fuzzUrls({ ...shared, port: nginx.port, server: 'nginx', world, count: URLS }), URLS)

  const log = await node.log()
  assert.equal(log.filter(({ msg }) => msg === 'listening').length, 1)
  assert.deepEqual(
    log.filter(({ level }) => level === 'error'),
    [],
  )
  assert.equal((await rendererPids(node.pid)).length > 0, true)
})

function assertClean({ tried, findings, answers }: FuzzReport, wanted: number): void {
  assert.deepEqual(
    findings.map(({ request, problem, how }) => ({ request, problem, how })),
    [],
  )
  assert.ok(tried > wanted / 10, `only ${tried} were tried`)
  assert.ok(
    Object.keys(answers).some((kind) => / 20[01]$|^200$/.test(kind)),
    'some are sound',
  )
}

const POLYGLOTS = [
  ['a JPEG that is a ZIP', 'mountains.jpg', 'PK\x05\x06'.padEnd(22, '\0'), 'application/zip'],
  ['a GIF that is a script', 'dandelion.gif', '*/=1;alert(document.domain)//', 'text/javascript'],
  ['a PNG that is a page', 'fig-alpha.png', '<html><script>alert(1)</script></html>', 'text/html'],
  ['a WebP that is a PDF', 'stream.webp', '%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj', 'application/pdf'],
] as const

test('A file that is a picture and something else is shown as a picture only, made anew', async (t) => {
  const { node, url } = await startFuzzSite(t)
  const tally = createFuzzTally()
  for (const [name, file, other, type] of POLYGLOTS) {
    const bytes = Buffer.concat([await fixture(file), Buffer.from(other, 'latin1')])
    const headers = { 'Content-Type': 'image/png', ...AUTHORIZATION }
    const uploaded = await ask(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes) })
    assert.equal(uploaded.status, 201, name)
    const id = String(jsonFields(uploaded.body)['id'])
    for (const view of ['40w', '40w/x.jpg', '40w/x.gif', '40w/x.html']) {
      const answer = await ask(`${url}/image/${id}/${view}`, { headers: { Accept: type } })
      const problem = answer.status === 200 ? problemOfPicture(answer) : problemOfError(answer)
      tally.answered(String(answer.status), answer.ms, { request: `${name} ${view}` }, problem)
      assert.ok(!answer.body.includes(other), `${name} ${view}`)
    }
    const unasked = await rawRequest(url, `/images/${id}/original`)
    assert.equal(unasked.status, 401, 'the original is for holders of a token')
    const original = await rawRequest(url, `/images/${id}/original`, { headers: AUTHORIZATION })
    assert.match(original.headers['content-disposition'] ?? '', /^attachment/)
    assert.equal(original.headers['x-content-type-options'], 'nosniff')
  }
  assert.deepEqual(tally.report(POLYGLOTS.length).findings, [])
  assert.equal((await ask(`${node.url}/healthz`)).status, 200)
})
