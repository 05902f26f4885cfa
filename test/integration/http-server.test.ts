import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import Koa from 'koa'
import { createHttpServer, listen, originForm } from '../../src/http/connection/server.ts'

/** What a server answers to these bytes, to the end of the connection. */
async function answerTo(t: TestContext, bytes: string): Promise<string> {
  const app = new Koa()
  app.use((ctx) => {
    ctx.body = `${ctx.path} ${ctx.url}`
  })
  const server = createHttpServer(app)
  const url = await listen(server, 0, '127.0.0.1')
  t.after(() => server.close())
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(bytes)
  return await text(socket)
}

const TARGETS = {
  '/image/x?s=1': '/image/x?s=1',
  '//images.test/x': '//images.test/x',
  'http://images.test/image/x?url=http://a': '/image/x?url=http://a',
  'HTTPS://[::1]:80?x': '/?x',
  'http://images.test': '/',
  'http://images.test/image/x#y': '/image/x#y',
  'http://user@images.test/x': undefined,
  'http://images.te[t/image/x': undefined,
  'ftp://images.test/x': '/x',
  '://images.test/x': undefined,
  '/a/../b?c=%zz%00/../..': '/a/../b?c=%zz%00/../..',
  '/a//../../b': '/a//../../b',
  '/a/%2e%2e/b#/../..': '/a/%2e%2e/b#/../..',
  '/a%2fb/../../c': '/a%2fb/../../c',
  '/a%2f../../b': undefined,
  '/..': undefined,
  '/a/..%2f..': undefined,
  'http://images.test/../x': undefined,
  '/a%': undefined,
  '/a%0g': undefined,
  '/a%00': undefined,
  'images.test:443': undefined,
  '*': undefined,
  '': undefined,
} as const
test('A target is a path with its query, or a URL that has one', () => {
  for (const [target, expected] of Object.entries(TARGETS)) assert.equal(originForm(target), expected, target)
})

test('A URL as to a proxy is read by its path, and one with a host that nginx does not take is refused', async (t) => {
  const ask = (host: string) =>
    answerTo(t, `GET http://${host}/image/x?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  assert.match(await ask('images.test'), /^HTTP\/1\.1 200 [^]*\/image\/x \/image\/x\?a=b$/)
  for (const host of ['images.te[t', '%', '[', 'a%20b']) assert.match(await ask(host), /^HTTP\/1\.1 400 /, host)
})

const UNREADABLE = {
  'a target that is no path': ['GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400, 'invalid_request'],
  'no HTTP': ['hello\r\n\r\n', 400, 'invalid_request'],
  'a space in the target': ['GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'invalid_request'],
  'too long headers': [`GET /${'a'.repeat(30_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431, 'headers_too_large'],
  'two lengths': [
    'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    400,
    'invalid_request',
  ],
} as const
for (const [name, [bytes, status, code]] of Object.entries(UNREADABLE)) {
  test(`A request with ${name} gets an error of our shape that nobody keeps`, async (t) => {
    const answer = await answerTo(t, bytes)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `))
    for (const header of [
      /^cache-control: no-store$/im,
      /^x-content-type-options: nosniff$/im,
      /^connection: close$/im,
    ])
      assert.match(head, header)
    assert.match(body, new RegExp(`^\\{"error":"${code}","message":"[^"]+"\\}$`))
  })
}

test('Nonsense after a request cuts the connection, and puts nothing into the answer under way', async (t) => {
  const answer = await answerTo(t, 'GET / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n')
  assert.doesNotMatch(answer, /HTTP\/1\.1 200[^]*HTTP\/1\.1 400[^]*\/ \//)
})
