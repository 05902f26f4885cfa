import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { untilClosed } from '../../tools/requests/raw-exchange.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { startSite, TOKEN } from '../../tools/servers/site.ts'

const SECOND_MS = 1000

function open(t: TestContext, origin: string): Socket {
  const socket = connect(Number(new URL(origin).port), '127.0.0.1')
  t.after(() => socket.destroy())
  // Cut while we write: what was answered before that is what counts.
  socket.on('error', () => {})
  return socket
}

/** What has been answered, however the connection ends: it may be cut while the next byte is on its way. */
async function answerOf(socket: Socket): Promise<string> {
  return (await untilClosed(socket)).toString()
}

function head(token: string, type = 'image/jpeg'): string {
  return `POST /images HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nAuthorization: Bearer ${token}\r\n`
}

/** Sends a head, and then one byte of a body every second. @returns all that was answered, and when that began. */
async function trickle(t: TestContext, origin: string, token: string): Promise<{ answer: string; afterMs: number }> {
  const socket = open(t, origin)
  const began = performance.now()
  let answered = began
  socket.once('data', () => {
    answered = performance.now()
  })
  socket.write(`${head(token)}Content-Length: 1000000\r\n\r\n`)
  const timer = setInterval(() => socket.write('x'), SECOND_MS)
  t.after(() => clearInterval(timer))
  const answer = await answerOf(socket)
  clearInterval(timer)
  return { answer, afterMs: answered - began }
}

test('A body that trickles is ended with 408, without and with nginx, while others are served', async (t) => {
  const { node, url } = await startSite(t)
  const slow = [node.url, url].map((origin) => trickle(t, origin, TOKEN))
  // Without a token there is an answer at once, and the connection ends in spite of the body that still comes.
  const refused = await trickle(t, node.url, 'wrong')
  assert.match(refused.answer, /^HTTP\/1\.1 401 /)
  assert.ok(refused.afterMs < 5 * SECOND_MS, `${refused.afterMs} ms`)
  assert.equal((await upload(url, await fixture('fig-alpha.png'), 'image/png', TOKEN)).status, 201)
  for (const { answer, afterMs } of await Promise.all(slow)) {
    assert.match(answer, /^HTTP\/1\.1 408 [^]*"error":"client_too_slow"/)
    assert.match(answer, /cache-control: no-store/i)
    assert.ok(afterMs > 10 * SECOND_MS && afterMs < 35 * SECOND_MS, `${afterMs} ms`)
  }
})

test('A client that reads no answer before it has sent everything gets the reason of a refusal', async (t) => {
  const { node, url } = await startSite(t, { MAX_UPLOAD_BYTES: '100K' })
  const refusals = [
    [TOKEN, 'image/jpeg', /^HTTP\/1\.1 413 [^]*"error":"original_too_large"/],
    [TOKEN, 'multipart/form-data; charset=utf-8', /^HTTP\/1\.1 400 [^]*"error":"invalid_upload"/],
    [TOKEN, 'text/html', /^HTTP\/1\.1 415 [^]*"error":"original_unsupported"/],
    ['wrong', 'image/jpeg', /^HTTP\/1\.1 401 [^]*"error":"token_required"/],
  ] as const
  const asked = refusals.flatMap((refusal) =>
    ['', 'Connection: close\r\n'].map((close) => [...refusal, close] as const),
  )
  for (const origin of [node.url, url]) {
    for (const [token, type, refusal, close] of asked) {
      const socket = open(t, origin)
      socket.write(`${head(token, type)}${close}Transfer-Encoding: chunked\r\n\r\n`)
      const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')])
      for (let count = 0; count < 300; count += 1) {
        await new Promise<void>((resolve, reject) => {
          socket.write(chunk, (error) => (error ? reject(error) : resolve()))
        })
      }
      // Who has asked for the end of the connection waits for it.
      if (close === '') socket.end('0\r\n\r\n')
      else socket.write('0\r\n\r\n')
      assert.match(await text(socket), refusal)
    }
  }
})

test('A client that stops in the middle of a refused body is hung up on, and nobody else notices', async (t) => {
  const { node, url } = await startSite(t)
  for (const type of ['multipart/form-data; charset=utf-8', 'text/html']) {
    const socket = open(t, node.url)
    socket.write(`${head(TOKEN, type)}Content-Length: 1000000\r\n\r\n`)
    socket.write(Buffer.alloc(500_000))
    assert.match(await answerOf(socket), /^HTTP\/1\.1 4(?:00|15) /)
  }
  assert.equal((await upload(url, await fixture('fig-alpha.png'), 'image/png', TOKEN)).status, 201)
})
