import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { AUTHORIZATION, newStore, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

type Line = Readonly<Record<string, unknown>>

/** A page of JSON lines, and the path of the next one. */
async function page(url: string, path: string) {
  const { status, headers, body } = await rawRequest(url, path, { headers: AUTHORIZATION })
  assert.equal(status, 200, body.toString())
  assert.equal(headers['content-type'], 'application/x-ndjson')
  assert.equal(headers['cache-control'], 'private, no-store')
  const lines = body.toString().split('\n')
  assert.equal(lines.pop(), '')
  const next = /^<(?<next>[^>]+)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.groups?.['next']
  return { lines: lines.map((line): Line => jsonFields(line)), next }
}

async function uploadTo(url: string, seed: number, query = ''): Promise<Line> {
  const { bytes } = await noisePicture(seed)
  const headers = { 'Content-Type': 'image/png', ...AUTHORIZATION }
  const { status, body } = await rawRequest(url, `/images${query}`, { method: 'POST', headers, body: bytes })
  assert.ok(status === 200 || status === 201, body.toString())
  return jsonFields(body)
}

/** Two nodes on one store. */
async function twoNodes(t: TestContext, env: Readonly<Record<string, string>>) {
  const options = { env: { UPLOAD_TOKENS: TOKEN, ...env } }
  return await Promise.all([startNodeFor(t, options), startNodeFor(t, options)])
}

/** What is wrong with a request is named. */
async function assertRefusals(url: string): Promise<void> {
  const cases = [
    ['/events', {}, 401, 'token_required'],
    ['/images', {}, 401, 'token_required'],
    ['/events?after=x', AUTHORIZATION, 400, 'invalid_cursor'],
    ['/images?after=x', AUTHORIZATION, 400, 'invalid_cursor'],
    ['/events?limit=0', AUTHORIZATION, 400, 'invalid_path'],
    ['/events?wait=26', AUTHORIZATION, 400, 'invalid_path'],
    ['/images?limit=many', AUTHORIZATION, 400, 'invalid_path'],
    ['/images?label=A', AUTHORIZATION, 400, 'invalid_path'],
  ] as const
  for (const [path, headers, status, error] of cases) {
    const answer = await rawRequest(url, path, { headers })
    assert.deepEqual([answer.status, jsonFields(answer.body)['error']], [status, error], path)
  }
  const expired = Buffer.from(JSON.stringify([1, 1000, {}])).toString('base64url')
  const answer = await rawRequest(url, `/events?after=${expired}`, { headers: AUTHORIZATION })
  const { error, oldest } = jsonFields(answer.body)
  assert.deepEqual([answer.status, error], [410, 'cursor_expired'])
  const { lines } = await page(url, `/events?after=${String(oldest)}&wait=0`)
  assert.deepEqual(lines, [])
}

const STORES = {
  'an S3 store': async () => (await newStore()).env,
  'a file store': async (t: TestContext) => ({ STORE: `file:${await temporaryFolder(t)}` }),
} as const

for (const [name, makeStore] of Object.entries(STORES)) {
  test(`Each upload and deletion through two nodes on ${name} is in the feed of both, and images are listed`, async (t) => {
    const [one, two] = await twoNodes(t, await makeStore(t))
    await assertRefusals(one.url)
    const seen: Line[] = []
    const uploads = await Promise.all([
      uploadTo(one.url, 1, '?labels=cats+2026'),
      uploadTo(two.url, 2, '?labels=cats'),
      uploadTo(two.url, 3),
    ])
    await uploadTo(one.url, 1)
    let path = '/events?wait=0&limit=1'
    for (let pages = 0; pages < 8; pages += 1) {
      const { lines, next } = await page(one.url, path)
      seen.push(...lines)
      path = next ?? ''
    }
    const ids = uploads.map(({ id }) => String(id)).toSorted()
    assert.deepEqual(seen.map(({ subject }) => String(subject)).toSorted(), ids, 'one event for each')
    for (const event of seen) {
      const record = uploads.find(({ id }) => id === event['subject'])
      const { urls: _urls, ...data } = record ?? {}
      assert.deepEqual(event['data'], { version: Date.parse(String(record?.['uploadedAt'])), ...data })
      const { specversion, type, source, time } = event
      assert.deepEqual([specversion, type, source, time], ['1.0', 'image.stored', '/images', record?.['uploadedAt']])
    }

    // The other node continues with the same cursor, and its request waits for what the first one deletes.
    const waiting = page(two.url, path.replace('wait=0', 'wait=20'))
    const [first = ''] = ids
    const remove = { method: 'DELETE', headers: AUTHORIZATION }
    assert.equal((await rawRequest(one.url, `/images/${first}`, remove)).status, 204)
    const { lines: deleted } = await waiting
    assert.deepEqual(
      deleted.map(({ type, subject }) => [type, subject]),
      [['image.deleted', first]],
    )

    const listed: Line[] = []
    let list: string | undefined = '/images?limit=1'
    while (list !== undefined) {
      const { lines, next } = await page(two.url, list)
      listed.push(...lines)
      list = next
    }
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids.slice(1),
    )
    const labelled = uploads
      .filter(({ id, labels }) => id !== first && Array.isArray(labels))
      .map(({ id }) => String(id))
    const { lines: cats } = await page(one.url, '/images?label=cats')
    assert.deepEqual(cats.map(({ id }) => String(id)).toSorted(), labelled.toSorted())
  })
}

const REJECTED = {
  path: 'agency/2026/cut ü.png',
  source: 'agency',
  labels: ['news'],
  bytes: 20_480,
  error: 'original_broken',
  message: 'The end is missing',
  arrivedAt: '2026-11-30T20:15:00.123Z',
} as const

async function report(url: string, body: unknown, headers: Readonly<Record<string, string>> = AUTHORIZATION) {
  const sent = { 'Content-Type': 'application/json', ...headers }
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await rawRequest(url, '/events', { method: 'POST', headers: sent, body: Buffer.from(text) })
  return { status: answer.status, fields: jsonFields(answer.body) }
}

test('A reported rejection is in the feed, once also if it is reported twice', async (t) => {
  const { url } = await startSite(t, { ...(await newStore()).env, UPLOAD_TOKENS: TOKEN })
  const message = { type: 'image.rejected', data: REJECTED } as const
  const first = await report(url, message)
  assert.equal(first.status, 202)
  assert.deepEqual(await report(url, message), first)
  const { lines } = await page(url, '/events?wait=0')
  const { path, ...data } = REJECTED
  assert.deepEqual(lines, [
    {
      specversion: '1.0',
      datacontenttype: 'application/json',
      id: first.fields['id'],
      source: '/images',
      type: 'image.rejected',
      subject: path,
      time: REJECTED.arrivedAt,
      data: { version: Date.parse(REJECTED.arrivedAt), name: 'cut ü.png', ...data },
    },
  ])
})

test('A report that is wrong, too large or without a token is refused, and the mistake is named', async (t) => {
  const { url } = await startNodeFor(t)
  const cases: readonly [unknown, RegExp][] = [
    ['{', /not an event image\.rejected/],
    [{ type: 'image.stored', data: REJECTED }, /type: .*image\.rejected/],
    [{ type: 'image.rejected', data: { ...REJECTED, bytes: -1 } }, /data: bytes/],
    [{ type: 'image.rejected', data: { ...REJECTED, arrivedAt: 'today' } }, /should be a time such as/],
    [{ type: 'image.rejected', data: { ...REJECTED, labels: ['A'] } }, /labels: 0: a label has/],
    [
      { type: 'image.rejected', data: { ...REJECTED, labels: Array.from({ length: 21 }, (_, n) => `l${n}`) } },
      /labels/,
    ],
    [{ type: 'image.rejected', data: { ...REJECTED, path: 'x'.repeat(1025) } }, /data: path/],
    [{ type: 'image.rejected', data: { ...REJECTED, more: 1 } }, /more/],
    [' '.repeat(16_385), /exceeds the limit of 16 KiB/],
  ]
  for (const [body, expected] of cases) {
    const { status, fields } = await report(url, body)
    assert.deepEqual([status, fields['error']], [400, 'invalid_event'])
    assert.match(String(fields['message']), expected)
  }
  assert.equal((await report(url, { type: 'image.rejected', data: REJECTED }, {})).status, 401)
  assert.deepEqual((await page(url, '/events?wait=0')).lines, [])
})

test('A report is a 503 while its event cannot be written', async (t) => {
  const { env } = await newStore()
  const proxy = await startFaultProxy({ target: env['S3_ENDPOINT'] ?? '' })
  t.after(proxy.stop)
  const { url } = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint, UPLOAD_TOKENS: TOKEN } })
  await proxy.setFault({ kind: 'status', status: 403, matching: { method: /^PUT$/, path: /outbox/ } })
  const message = { type: 'image.rejected', data: REJECTED } as const
  assert.equal((await report(url, message)).status, 503)
  await proxy.setFault(undefined)
  assert.equal((await report(url, message)).status, 202)
  assert.equal((await page(url, '/events?wait=0')).lines.length, 1)
})
