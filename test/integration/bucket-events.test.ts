import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { jsonFields, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { type EventSink, startEventSink } from '../support/event-sink.ts'

const TOKENS = ['0123456789abcdef', 'fedcba9876543210+/=']
const RECORD = {
  eventSource: 'minio:s3',
  eventName: 's3:ObjectCreated:Put',
  s3: { bucket: { name: 'photos' }, object: { key: 'a+b', eTag: '0a', versionId: 'v1' } },
}
const MESSAGE = JSON.stringify({ Records: [RECORD] })

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

const WELCOME: readonly (readonly [how: string, path: string, authorization?: string])[] = [
  ['Bearer', '/events/s3', 'Bearer 0123456789abcdef'],
  ['the second token', '/events/s3', 'bearer fedcba9876543210+/='],
  ['Basic', '/events/s3', basic('anybody:0123456789abcdef')],
  ['Basic without a name', '/events/s3', basic(':fedcba9876543210+/=')],
  ['a query', '/events/s3?access_token=0123456789abcdef'],
  ['an encoded query', '/events/s3?x=1&access_token=fedcba9876543210%2B%2F%3D'],
]
for (const [how, path, authorization] of WELCOME) {
  test(`an event with a token by ${how} is taken`, async (t) => {
    const sink = await startEventSink(t, TOKENS)
    const answer = await send(sink, MESSAGE, { path, authorization })
    assert.equal(answer.status, 204)
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.deepEqual(await sink.take(1), [
      { bucket: 'photos', key: 'a b', kind: 'created', etag: '"0a"', versionId: 'v1' },
    ])
  })
}

const STRANGERS: readonly (readonly [how: string, path: string, authorization?: string])[] = [
  ['nothing', '/events/s3'],
  ['a wrong token', '/events/s3', 'Bearer 0123456789abcdeg'],
  ['an empty token', '/events/s3', 'Bearer '],
  ['a token as the name', '/events/s3', basic('0123456789abcdef:')],
  ['a wrong password', '/events/s3', basic('0123456789abcdef:x')],
  ['no colon', '/events/s3', basic('0123456789abcdef')],
  ['an empty query', '/events/s3?access_token='],
  ['another name in the query', '/events/s3?token=0123456789abcdef'],
]
for (const [how, path, authorization] of STRANGERS) {
  test(`an event with ${how} is refused`, async (t) => {
    const sink = await startEventSink(t, TOKENS)
    const answer = await send(sink, MESSAGE, { path, authorization })
    assert.equal(answer.status, 401)
    assert.equal(answer.headers['www-authenticate'], 'Bearer')
    assert.equal(jsonFields(answer.body)['error'], 'token_required')
    assert.ok(!answer.body.includes('0123456789'), 'no answer repeats a token')
  })
}

test('without any token configured nobody is heard, not even this machine', async (t) => {
  const sink = await startEventSink(t, [])
  for (const authorization of [undefined, 'Bearer ', 'Bearer undefined', basic(':')]) {
    const answer = await send(sink, MESSAGE, { authorization })
    assert.equal(answer.status, 401)
    assert.match(String(jsonFields(answer.body)['message']), /set EVENT_TOKENS/)
  }
})

test('what is no event is told so', async (t) => {
  const sink = await startEventSink(t, TOKENS)
  const answer = await send(sink, '{"Records":[{}]}')
  assert.equal(answer.status, 400)
  assert.deepEqual(jsonFields(answer.body), {
    error: 'invalid_event',
    message: '"Records[0].eventName" should be a string',
  })
})

test('a test message is taken, and nothing comes of it', async (t) => {
  const sink = await startEventSink(t, TOKENS)
  assert.equal((await send(sink, '{"Event":"s3:TestEvent"}')).status, 204)
  sink.failNext(1)
  assert.equal((await send(sink, '{"Records":[]}')).status, 204, 'nobody was called, so nobody failed')
})

test('what cannot be acted upon is answered so that the sender tries again', async (t) => {
  const sink = await startEventSink(t, TOKENS)
  sink.failNext(1)
  const answer = await send(sink, MESSAGE)
  assert.equal(answer.status, 503)
  assert.ok(Number(answer.headers['retry-after']) > 0)
  assert.equal((await send(sink, MESSAGE)).status, 204)
  assert.equal((await sink.take(1)).length, 1)
})

test('a body of more than a mebibyte is refused, with and without a length, and one just within is read', async (t) => {
  const sink = await startEventSink(t, TOKENS)
  const padded = (sizeBytes: number): string => MESSAGE + ' '.repeat(sizeBytes - MESSAGE.length)
  for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
    const answer = await send(sink, padded(2 ** 20 + 1), { headers })
    assert.equal(answer.status, 400)
    assert.match(String(jsonFields(answer.body)['message']), /exceeds the limit of 1 MiB$/)
    assert.equal((await send(sink, padded(2 ** 20), { headers })).status, 204)
  }
})

test('a sender that leaves in mid-message is forgotten, and the next is heard', async (t) => {
  const sink = await startEventSink(t, TOKENS)
  const { hostname, port } = new URL(sink.url)
  const socket = connect(Number(port), hostname)
  const authorization = `Authorization: Bearer ${TOKENS[0]}`
  socket.write(`POST /events/s3 HTTP/1.1\r\nHost: x\r\n${authorization}\r\nContent-Length: 100\r\n\r\n{"Records"`)
  await sink.arrived(1)
  socket.destroy()
  await sink.answered(1)
  assert.equal((await send(sink, MESSAGE)).status, 204)
})

interface Message {
  readonly path?: string | undefined
  readonly authorization?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

function send(
  { url }: EventSink,
  body: string,
  { path = '/events/s3', headers = {}, ...rest }: Message = {},
): Promise<RawResponse> {
  const authorization = 'authorization' in rest || path !== '/events/s3' ? rest.authorization : `Bearer ${TOKENS[0]}`
  const length = 'Transfer-Encoding' in headers ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  return rawRequest(url, path, {
    method: 'POST',
    headers: { ...headers, ...length, ...(authorization !== undefined && { Authorization: authorization }) },
    body,
  })
}
