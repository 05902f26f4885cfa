import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { parseAnswers, type RawAnswer, untilClosed } from '../../tools/requests/raw-exchange.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startSite, TOKEN } from '../../tools/servers/site.ts'

const EVENT_TOKEN = 'an-event-token-for-tests'
const MIB = 2 ** 20
const BEARER = `Authorization: ${AUTHORIZATION.Authorization}`
const FORM = 'Content-Type: multipart/form-data; boundary=b'
const FILE_PART = '--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'

interface Stall {
  readonly target: string
  readonly headers: readonly string[]
  /** What is sent of the body before the silence. */
  readonly sent: Buffer
}

const CHUNK = Buffer.concat([Buffer.from('200000\r\n'), Buffer.alloc(2 * MIB), Buffer.from('\r\n')])
const PART = Buffer.concat([Buffer.from(FILE_PART), Buffer.alloc(2 * MIB)])
const LONG = 'Content-Length: 10000000'

/** Requests whose handlers wait for the rest of the body. */
const AWAITED: Readonly<Record<string, Stall>> = {
  'a raw body': { target: '/images', headers: [BEARER, 'Content-Type: image/jpeg', LONG], sent: PART },
  'a raw body of which nothing has come': {
    target: '/images',
    headers: [BEARER, 'Content-Type: image/jpeg', LONG],
    sent: Buffer.alloc(0),
  },
  'a chunked body': {
    target: '/images',
    headers: [BEARER, 'Content-Type: image/jpeg', 'Transfer-Encoding: chunked'],
    sent: CHUNK,
  },
  'a form': { target: '/images', headers: [BEARER, FORM, LONG], sent: PART },
  "Reticulum's form": { target: '/', headers: [BEARER, FORM, LONG], sent: PART },
  "Reticulum's form without a token": { target: '/', headers: [FORM, LONG], sent: PART },
  'a notification': {
    target: '/events/s3',
    headers: [`Authorization: Bearer ${EVENT_TOKEN}`, 'Content-Type: application/json', 'Content-Length: 5000'],
    sent: Buffer.from('{"Records":['),
  },
}

/** Requests that are refused before their body has come. */
const REFUSED: Readonly<Record<string, Stall & { readonly status: number }>> = {
  'an upload without a token': {
    target: '/images',
    headers: ['Content-Type: image/jpeg', LONG],
    sent: PART,
    status: 401,
  },
  'an upload of another type': {
    target: '/images',
    headers: [BEARER, 'Content-Type: text/html', LONG],
    sent: PART,
    status: 415,
  },
  'a notification without a token': {
    target: '/events/s3',
    headers: ['Content-Length: 5000'],
    sent: Buffer.from('{'),
    status: 401,
  },
  'a body that no route takes': {
    target: '/nothing',
    headers: ['Content-Length: 5000'],
    sent: Buffer.from('{'),
    status: 404,
  },
}

interface Ended {
  readonly answer: RawAnswer
  readonly answeredMs: number
  readonly closedMs: number
}

/** Sends that much and keeps silent until the other side closes. Times count from the last byte. */
async function stall(t: TestContext, origin: string, { target, headers, sent }: Stall): Promise<Ended> {
  const socket = connect(Number(new URL(origin).port), '127.0.0.1')
  t.after(() => socket.destroy())
  const head = [`POST ${target} HTTP/1.1`, 'Host: x', ...headers].join('\r\n')
  let began = performance.now()
  let answered = began
  socket.once('data', () => {
    answered = performance.now()
  })
  socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), sent]), () => {
    began = performance.now()
  })
  const said = (await untilClosed(socket)).toString('latin1')
  const closedMs = performance.now() - began
  const answers = parseAnswers(said)
  assert.equal(answers.length, 1, `${target}: ${JSON.stringify(said)} after ${Math.round(closedMs)} ms`)
  const [answer] = answers
  assert.ok(answer)
  return { answer, answeredMs: answered - began, closedMs }
}

/** The same over HTTP/2, where the connection stays. */
async function stallStream(t: TestContext, port: number): Promise<{ status: unknown; body: string; ms: number }> {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  t.after(() => session.destroy())
  const { Authorization: authorization } = AUTHORIZATION
  const stream = session.request({ ':method': 'POST', ':path': '/images', authorization, 'content-type': 'image/jpeg' })
  stream.on('error', () => {})
  const sent = Promise.withResolvers<void>()
  stream.write(PART, () => sent.resolve())
  await sent.promise
  const began = performance.now()
  const answered = Promise.withResolvers<unknown>()
  stream.once('response', (headers) => answered.resolve(headers[':status']))
  stream.once('close', () => answered.resolve(undefined))
  const status = await answered.promise
  return { status, body: await text(stream), ms: performance.now() - began }
}

test('A body of which no byte comes for 30 s is ended with 408 and its reason, wherever it stalls, through nginx too', async (t) => {
  const http2Port = await freePort()
  const alsoListen = `listen 127.0.0.1:${http2Port} http2;`
  const { node, nginx, url } = await startSite(t, { EVENT_TOKENS: EVENT_TOKEN }, { alsoListen })
  const overHttp2 = stallStream(t, http2Port)
  const origins = { node: node.url, nginx: url, 'two nginx': nginx.frontOrigin }
  const waits = Object.entries(origins).flatMap(([way, origin]) => [
    ...Object.entries(AWAITED).map(async ([name, request]) => {
      const { answer, answeredMs, closedMs } = await stall(t, origin, request)
      const what = `${name} through ${way}: ${Math.round(answeredMs)} ms, closed after ${Math.round(closedMs)} ms`
      assert.equal(answer.status, 408, what)
      assert.equal(answer.headers['cache-control'], 'no-store', what)
      assert.equal(answer.headers['x-content-type-options'], 'nosniff', what)
      assert.equal(jsonFields(answer.body)['error'], 'client_too_slow', what)
      assert.ok(answeredMs < 35_000 && closedMs < 35_000, what)
      t.diagnostic(what)
    }),
    ...Object.entries(REFUSED).map(async ([name, request]) => {
      const { answer, answeredMs, closedMs } = await stall(t, origin, request)
      const what = `${name} through ${way}: ${Math.round(answeredMs)} ms, closed after ${Math.round(closedMs)} ms`
      assert.equal(answer.status, request.status, what)
      assert.ok(answeredMs < 10_000 && closedMs < 35_000, what)
      t.diagnostic(what)
    }),
  ])
  // All of them stand still while this one is served.
  assert.equal((await upload(url, await fixture('fig-alpha.png'), 'image/png', TOKEN)).status, 201)
  const { status, body, ms } = await overHttp2
  assert.deepEqual([status, jsonFields(body)['error']], [408, 'client_too_slow'])
  assert.ok(ms < 35_000)
  const failures = (await Promise.allSettled(waits)).filter((each) => each.status === 'rejected')
  assert.deepEqual(
    failures.map(({ reason }) => String(reason)),
    [],
  )
})
