import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { REMOTE_LIMITS, type RemoteLimits } from '../../src/adapters/hosts/remote-origins.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { remoteSource, startRawHost, startRemoteHost } from '../../tools/servers/remote-host.ts'
import { collectGarbage } from '../support/collect-garbage.ts'

const never = new AbortController().signal
const MAX_BYTES = 2 ** 20
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n'

/** The limits of production, all a twentieth or less. */
const LIMITS = {
  connectTimeoutMs: 100,
  firstByteTimeoutMs: 250,
  stallTimeoutMs: 250,
  totalTimeoutMs: 500,
} as const satisfies Partial<RemoteLimits>

interface Lie {
  readonly name: string
  /** Called for each request. */
  readonly tell: (socket: Socket) => void
  readonly code?: string
  readonly message: RegExp
}

/** Writes the same again and again, as long as the other end takes it. */
function repeat(socket: Socket, text: string, everyMs: number): void {
  const timer = setInterval(() => socket.write(text), everyMs)
  socket.on('close', () => clearInterval(timer))
}

/** As fast as the other end takes it. */
function flood(socket: Socket, chunk: Buffer | string): void {
  const fill = (): void => {
    while (socket.writable && socket.write(chunk));
  }
  socket.on('drain', fill)
  fill()
}

const BOMB = gzipSync(Buffer.alloc(10 * MAX_BYTES))
const ANOTHER_NUMBER = /^The remote host sent a body that does not match its Content-Length$/
const WRONG_LENGTHS = /does not match its Content-Length|malformed HTTP response/
const NO_HTTP = /^The remote host sent a malformed HTTP response$/
const PACKED = /^The remote host sent an encoded body/
const BROKE_OFF = /^The remote host closed the connection$/
const NO_BEGIN = /^The remote host did not start to respond in time$/

const LIES: readonly Lie[] = [
  {
    name: 'ends before its length',
    tell: (socket) => socket.end(`${OK}Content-Length: 100\r\n\r\nshort`),
    message: /does not match its Content-Length|closed the connection/,
  },
  {
    name: 'resets before its length',
    tell: (socket) => socket.write(`${OK}Content-Length: 100\r\n\r\nshort`, () => socket.resetAndDestroy()),
    message: BROKE_OFF,
  },
  {
    name: 'goes on after its length',
    tell: (socket) => socket.write(`${OK}Content-Length: 5\r\n\r\nimage and more`),
    message: ANOTHER_NUMBER,
  },
  {
    name: 'goes on after its last chunk',
    tell: (socket) => socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\nand more`),
    message: ANOTHER_NUMBER,
  },
  {
    name: 'ends before its last chunk',
    tell: (socket) => socket.end(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nimage\r\n`),
    message: /closed the connection|malformed HTTP response/,
  },
  {
    name: 'has a broken chunk',
    tell: (socket) => socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\nfive\r\nimage\r\n`),
    message: NO_HTTP,
  },
  {
    name: 'has two lengths',
    tell: (socket) => socket.write(`${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nimages`),
    message: WRONG_LENGTHS,
  },
  {
    name: 'has a negative length',
    tell: (socket) => socket.write(`${OK}Content-Length: -5\r\n\r\nimage`),
    message: NO_HTTP,
  },
  {
    name: 'has a length and chunks',
    tell: (socket) => socket.write(`${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
    message: WRONG_LENGTHS,
  },
  {
    name: 'says that it is too large',
    tell(socket) {
      socket.write(`${OK}Content-Length: ${MAX_BYTES + 1}\r\n\r\n`)
      flood(socket, Buffer.alloc(65_536))
    },
    code: 'original_too_large',
    message: /more than 1 MiB, the limit \(MAX_UPLOAD_BYTES\)/,
  },
  {
    name: 'never ends',
    tell(socket) {
      socket.write(`${OK}\r\n`)
      flood(socket, Buffer.alloc(65_536))
    },
    code: 'original_too_large',
    message: /more than 1 MiB, the limit \(MAX_UPLOAD_BYTES\)/,
  },
  {
    name: 'never ends, in chunks',
    tell(socket) {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`)
      flood(socket, `10000\r\n${'x'.repeat(65_536)}\r\n`)
    },
    code: 'original_too_large',
    message: /more than 1 MiB, the limit \(MAX_UPLOAD_BYTES\)/,
  },
  {
    name: 'comes byte by byte',
    tell(socket) {
      socket.write(`${OK}Content-Length: 1000000\r\n\r\n`)
      repeat(socket, 'x', 50)
    },
    message: /^The remote host did not complete its response in time$/,
  },
  {
    name: 'stops in the middle',
    tell: (socket) => socket.write(`${OK}Content-Length: 100\r\n\r\nshort`),
    message: /^The remote host stopped sending its response$/,
  },
  {
    name: 'is a bomb of gzip',
    tell: (socket) =>
      socket.write(`${OK}Content-Encoding: gzip\r\nContent-Length: ${BOMB.length}\r\n\r\n`, () => socket.write(BOMB)),
    message: PACKED,
  },
  {
    name: 'is packed twice',
    tell: (socket) => socket.write(`${OK}Content-Encoding: identity\r\nContent-Encoding: br\r\n\r\nimage`),
    message: PACKED,
  },
  {
    name: 'is packed on its way',
    tell: (socket) => socket.write(`${OK}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\n`),
    message: PACKED,
  },
  { name: 'never comes', tell: () => {}, message: NO_BEGIN },
  { name: 'has a head that stops', tell: (socket) => socket.write(OK), message: NO_BEGIN },
  {
    name: 'has a head that comes byte by byte',
    tell(socket) {
      socket.write(`${OK}X-Slow: `)
      repeat(socket, 'x', 20)
    },
    message: NO_BEGIN,
  },
  {
    name: 'has a long header',
    tell: (socket) => socket.write(`${OK}X-Long: ${'x'.repeat(65_536)}\r\n\r\n`),
    message: /^The remote host sent response headers that are too large$/,
  },
  {
    name: 'has headers without end',
    tell(socket) {
      socket.write(OK)
      flood(socket, 'X-More: more\r\n'.repeat(1000))
    },
    message: /^The remote host sent response headers that are too large$/,
  },
  {
    name: 'has a reason without end',
    tell(socket) {
      socket.write('HTTP/1.1 200 ')
      flood(socket, 'because '.repeat(1000))
    },
    message: /^The remote host sent response headers that are too large$/,
  },
  {
    name: 'announces itself without end',
    tell: (socket) => repeat(socket, 'HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n', 50),
    message: NO_BEGIN,
  },
  { name: 'is a plain 100', tell: (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'), message: BROKE_OFF },
  {
    name: 'wants another protocol',
    tell: (socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'),
    message: /closed the connection|status 101/,
  },
  { name: 'is no HTTP', tell: (socket) => socket.write('220 mail.example ESMTP\r\n'), message: NO_HTTP },
  { name: 'is HTTP 0.9', tell: (socket) => socket.end('<html>cat</html>'), message: NO_HTTP },
  { name: 'is nothing', tell: (socket) => socket.end(), message: BROKE_OFF },
  { name: 'is a reset', tell: (socket) => socket.resetAndDestroy(), message: BROKE_OFF },
  {
    name: 'is an error without end',
    tell(socket) {
      socket.write('HTTP/1.1 404 Not Found\r\n\r\n')
      flood(socket, Buffer.alloc(65_536))
    },
    code: 'original_not_found',
    message: /no image at this URL/,
  },
  {
    name: 'sent a redirect without a Location header',
    tell: (socket) => socket.write('HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n'),
    message: /sent a redirect without a Location header$/,
  },
  {
    name: 'redirects to two places',
    tell: (socket) => socket.write('HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n'),
    message: /sent a redirect without a Location header$/,
  },
  {
    name: 'redirects to no URL',
    tell: (socket) => socket.write('HTTP/1.1 302 Found\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n'),
    message: /sent a redirect without a Location header$/,
  },
  {
    name: 'redirects to another scheme',
    tell: (socket) => socket.write('HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n'),
    message: /redirected to an invalid image URL$/,
  },
  {
    name: 'redirects with a password',
    tell: (socket) =>
      socket.write('HTTP/1.1 302 Found\r\nLocation: http://a:b@127.0.0.1/\r\nContent-Length: 0\r\n\r\n'),
    message: /redirected to an invalid image URL$/,
  },
  {
    name: 'redirects to itself',
    tell: (socket) => socket.write('HTTP/1.1 301 Moved\r\nLocation: /cat.jpg\r\nContent-Length: 0\r\n\r\n'),
    message: /^The remote host redirected more than 5 times$/,
  },
]

async function fetchAll(t: TestContext, origin: string): Promise<Buffer> {
  const hosts = [origin.replace('http://', '')]
  const answer = await remoteSource(t, { hosts, maxBytes: MAX_BYTES, limits: LIMITS }).fetch(
    `${origin}/cat.jpg`,
    {},
    never,
  )
  assert.ok(answer.kind === 'body')
  return buffer(answer.body)
}

for (const { name, tell, code = 'remote_failed', message } of LIES) {
  test(`an answer that ${name} is a clean error within its limit, and leaves no connection`, async (t) => {
    const sent: Socket[] = []
    const host = await startRawHost(t, (socket) => {
      sent.push(socket)
      tell(socket)
    })
    const begun = performance.now()
    await assert.rejects(fetchAll(t, host.origin), (error) => {
      assert.ok(error instanceof Error && 'code' in error)
      assert.equal(error.code, code)
      assert.match(error.message, message)
      return true
    })
    assert.ok(performance.now() - begun < REMOTE_LIMITS.totalTimeoutMs)
    while (host.open() > 0) await new Promise(setImmediate)
    const bytes = sent.reduce((sum, socket) => sum + socket.bytesWritten, 0)
    assert.ok(bytes < MAX_BYTES + 16 * 2 ** 20, `${bytes} bytes were taken, or waited in the kernel`)
  })
}

test('an answer that ends with its connection is as long as it is', async (t) => {
  const host = await startRawHost(t, (socket) => socket.end(`${OK}\r\nimage`))
  assert.equal((await fetchAll(t, host.origin)).toString(), 'image')
})

test('a host that closes its connection right after a whole answer is believed', async (t) => {
  const host = await startRawHost(t, (socket) => socket.end(`${OK}Content-Length: 5\r\n\r\nimage`))
  for (let turn = 0; turn < 5; turn += 1) assert.equal((await fetchAll(t, host.origin)).toString(), 'image')
})

test('an answer of just the largest size is taken', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => response.end(Buffer.alloc(MAX_BYTES)))
  assert.equal((await fetchAll(t, host.origin)).length, MAX_BYTES)
})

test('a host that refused the connection is a clean error', async (t) => {
  await assert.rejects(fetchAll(t, `http://127.0.0.1:${await freePort()}`), {
    code: 'remote_failed',
    message: 'The remote host refused the connection',
  })
})

for (const [name, next] of [
  ['thirty redirections', (hop: number) => (hop < 30 ? `/${hop + 1}` : undefined)],
  ['a loop of redirections', (hop: number) => `/${(hop + 1) % 3}`],
] as const) {
  test(`${name} end after five`, async (t) => {
    const host = await startRemoteHost(t, (request, response) => {
      const location = next(Number(request.url?.replace(/\D/g, '')) || 0)
      if (location === undefined) response.end('image')
      else response.writeHead(302, { Location: location }).end()
    })
    await assert.rejects(fetchAll(t, host.origin), { message: 'The remote host redirected more than 5 times' })
    assert.equal(host.requests.length, 6)
  })
}

test('an answer that nobody asked for is not taken for that of the next request', async (t) => {
  const host = await startRawHost(t, (socket) => {
    socket.write(`${OK}Content-Length: 2\r\n\r\nok`)
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const fetch = async (): Promise<string> => {
    const answer = await source.fetch(`${host.origin}/cat.jpg`, {}, never)
    assert.ok(answer.kind === 'body')
    return (await buffer(answer.body)).toString()
  }
  assert.equal(await fetch(), 'ok')
  for (const socket of host.sockets()) socket.write(`${OK}Content-Length: 4\r\n\r\nevil`)
  while (host.open() > 0) await new Promise(setImmediate)
  assert.equal(await fetch(), 'ok')
})

const FLAT_BYTES = 64 * 2 ** 20

test('memory stays flat while bodies without end are refused', async (t) => {
  const host = await startRawHost(t, (socket) => {
    socket.write(`${OK}\r\n`)
    flood(socket, Buffer.alloc(65_536))
  })
  const held = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`], maxBytes: 16 * 2 ** 20 })
  const before = held()
  let highest = 0
  const look = (): void => {
    // Garbage is no matter of ours.
    if (held() - before >= FLAT_BYTES) collectGarbage()
    highest = Math.max(highest, held() - before)
  }
  for (let turn = 0; turn < 8; turn += 1) {
    const answer = await source.fetch(`${host.origin}/cat.jpg`, {}, never)
    assert.ok(answer.kind === 'body')
    const { body } = answer
    await assert.rejects(
      async () => {
        for await (const chunk of body) {
          assert.ok(Buffer.isBuffer(chunk))
          look()
        }
      },
      { code: 'original_too_large' },
    )
  }
  assert.ok(highest < FLAT_BYTES, `${highest} bytes more than before, for 128 MiB in all`)
})
