import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { RemoteAnswer } from '../../src/service/ports/remote.ts'
import { remoteSource, startRawHost, startRemoteHost } from '../../tools/servers/remote-host.ts'
import { startStubDns } from '../../tools/servers/stub-dns.ts'

const never = new AbortController().signal
const BYTES = Buffer.from('any bytes will do')

function opened(answer: RemoteAnswer): Extract<RemoteAnswer, { kind: 'body' }> {
  assert.equal(answer.kind, 'body')
  return answer
}

test('an image comes with its validators and freshness, and nothing else of the remote', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => {
    response.writeHead(200, {
      ETag: '"v1"',
      'Last-Modified': 'Sat, 01 Aug 2026 10:00:00 GMT',
      'Cache-Control': 'public, max-age=60, stale-while-revalidate=30',
      'Set-Cookie': 'session=secret',
      'X-User': 'ann',
    })
    response.end(BYTES)
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const { body, ...rest } = opened(await source.fetch(`${host.origin}/a/cat%20b.jpg?c=d#e`, {}, never))
  assert.deepEqual(rest, {
    kind: 'body',
    freshness: { storable: true, freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfError: true },
    validators: { etag: '"v1"', lastModified: 'Sat, 01 Aug 2026 10:00:00 GMT' },
  })
  assert.deepEqual(await buffer(body), BYTES)
  assert.deepEqual(host.requests, [
    {
      url: '/a/cat%20b.jpg?c=d',
      headers: {
        host: `127.0.0.1:${host.port}`,
        connection: 'keep-alive',
        accept: 'image/jpeg, image/png, image/*;q=0.5',
        'accept-encoding': 'identity',
        'user-agent': 'Darkroom',
      },
    },
  ])
})

test('a known copy is asked for by its validators, and 304 renews its freshness', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => {
    response.writeHead(304, { 'Cache-Control': 'max-age=90', ETag: '"v2"' }).end()
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const known = { etag: '"v1"', lastModified: 'Sat, 01 Aug 2026 10:00:00 GMT' }
  const answer = await source.fetch(`${host.origin}/cat.jpg`, known, never)
  assert.deepEqual(answer, {
    kind: 'unchanged',
    freshness: { storable: true, freshSeconds: 90, staleWhileRevalidateSeconds: 0, staleIfError: true },
    validators: { ...known, etag: '"v2"' },
  })
  assert.partialDeepStrictEqual(host.requests[0]?.headers, {
    'if-none-match': '"v1"',
    'if-modified-since': 'Sat, 01 Aug 2026 10:00:00 GMT',
  })
})

test('validators that cannot be sent back are none', async (t) => {
  const etags = ['*', 'unquoted', `"${'x'.repeat(600)}"`, '"a" , "b"', '"\u00e9"']
  const host = await startRemoteHost(t, (_request, response) => {
    response.writeHead(200, { ETag: etags[host.requests.length - 1], 'Last-Modified': 'yesterday' })
    response.end(BYTES)
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  for (const etag of etags) {
    const answer = opened(await source.fetch(`${host.origin}/cat.jpg`, { etag, lastModified: 'x\r\nCookie: y' }, never))
    assert.deepEqual(answer.validators, {})
    await buffer(answer.body)
  }
  for (const { headers } of host.requests) {
    assert.deepEqual(
      [headers['if-none-match'], headers['if-modified-since'], headers.cookie],
      [undefined, undefined, undefined],
    )
  }
})

const STATUSES = [
  [404, 'original_not_found'],
  [410, 'original_not_found'],
  [304, 'remote_failed'],
  [201, 'remote_failed'],
  [204, 'remote_failed'],
  [206, 'remote_failed'],
  [300, 'remote_failed'],
  [401, 'remote_failed'],
  [403, 'remote_failed'],
  [429, 'remote_failed'],
  [500, 'remote_failed'],
  [503, 'remote_failed'],
] as const
for (const [status, code] of STATUSES) {
  test(`the status ${status} that nobody asked for is ${code}, and its body is not read`, async (t) => {
    const host = await startRemoteHost(t, (_request, response) => {
      response.writeHead(status)
      response.end(status === 204 || status === 304 ? undefined : BYTES)
    })
    const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
    const fetching = source.fetch(`${host.origin}/cat.jpg`, {}, never)
    await assert.rejects(fetching, (error) => error instanceof Error && 'code' in error && error.code === code)
  })
}

test('redirections are followed, and what they allow counts as well', async (t) => {
  const host = await startRemoteHost(t, (request, response) => {
    const [, hop = ''] = (request.url ?? '').split('/')
    const to: Readonly<Record<string, string>> = { a: '/b/x.jpg', b: `${host.origin}/c`, c: '../d?e' }
    if (to[hop] === undefined) response.writeHead(200, { ETag: '"v1"', 'Cache-Control': 'max-age=600' }).end(BYTES)
    else response.writeHead(302, { Location: to[hop], 'Cache-Control': 'max-age=50' }).end('moved')
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const { body, freshness, validators } = opened(await source.fetch(`${host.origin}/a`, { etag: '"v0"' }, never))
  assert.deepEqual(await buffer(body), BYTES)
  assert.equal(freshness.freshSeconds, 50)
  assert.deepEqual(validators, {}, 'a validator means nothing at another URL')
  assert.deepEqual(
    host.requests.map(({ url, headers }) => [url, headers['if-none-match']]),
    [
      ['/a', '"v0"'],
      ['/b/x.jpg', undefined],
      ['/c', undefined],
      ['/d?e', undefined],
    ],
  )
})

test('a connection is used again, and one that was closed meanwhile is made anew', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => response.end(BYTES))
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const fetch = async (): Promise<Buffer> =>
    buffer(opened(await source.fetch(`${host.origin}/cat.jpg`, {}, never)).body)
  for (let turn = 0; turn < 3; turn += 1) assert.deepEqual(await fetch(), BYTES)
  assert.deepEqual([host.accepted(), host.requests.length], [1, 3])
  await host.stop()
  const again = await startRemoteHost(t, (_request, response) => response.end('new'), { port: host.port })
  assert.equal((await fetch()).toString(), 'new')
  assert.equal(again.accepted(), 1)
})

test('a kept connection that is dropped in the middle of a request is made anew', async (t) => {
  let requests = 0
  const host = await startRawHost(t, (socket) => {
    requests += 1
    if (requests === 2) socket.resetAndDestroy()
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  for (let turn = 0; turn < 2; turn += 1) {
    const { body } = opened(await source.fetch(`${host.origin}/cat.jpg`, {}, never))
    assert.equal((await buffer(body)).toString(), 'ok')
  }
  assert.deepEqual([requests, host.accepted()], [3, 2])
})

test('closing ends idle connections', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => response.end(BYTES))
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  await buffer(opened(await source.fetch(`${host.origin}/cat.jpg`, {}, never)).body)
  assert.equal(host.open(), 1)
  await source.close()
  while (host.open() > 0) await new Promise(setImmediate)
})

test('at most so many connections to one origin, and the next ones wait, or are refused', async (t) => {
  const waiting: ServerResponse[] = []
  const host = await startRemoteHost(t, (_request, response) => void waiting.push(response))
  const limits = { maxCallsPerOrigin: 2, maxWaitingCalls: 1 } as const
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`], limits })
  const fetches = [1, 2, 3].map((name) => source.fetch(`${host.origin}/${name}`, {}, never))
  await assert.rejects(source.fetch(`${host.origin}/4`, {}, never), { code: 'overloaded' })
  while (waiting.length < 2) await new Promise(setImmediate)
  assert.equal(host.accepted(), 2)
  for (const response of waiting) response.end(BYTES)
  for (const fetching of fetches.slice(0, 2)) await buffer(opened(await fetching).body)
  while (waiting.length < 3) await new Promise(setImmediate)
  waiting[2]?.end(BYTES)
  assert.deepEqual(await buffer(opened(await Promise.resolve(fetches[2] ?? assert.fail())).body), BYTES)
  assert.equal(host.accepted(), 2)
})

test('at most so many fetches in all, over all origins; an unread body counts', async (t) => {
  const hosts = await Promise.all([1, 2].map(() => startRemoteHost(t, (_request, response) => response.end(BYTES))))
  const limits = { maxCalls: 1, maxWaitingCalls: 0 } as const
  const source = remoteSource(t, { hosts: hosts.map(({ port }) => `127.0.0.1:${port}`), limits })
  const [one, other] = hosts.map(({ origin }) => origin)
  const { body } = opened(await source.fetch(`${one}/cat.jpg`, {}, never))
  await assert.rejects(source.fetch(`${other}/cat.jpg`, {}, never), { code: 'overloaded' })
  body.destroy()
  await once(body, 'close')
  await buffer(opened(await source.fetch(`${other}/cat.jpg`, {}, never)).body)
})

test('one slow origin leaves room for the others', async (t) => {
  const slow = await startRemoteHost(t, () => {})
  const quick = await startRemoteHost(t, (_request, response) => response.end(BYTES))
  const hosts = [slow, quick].map(({ port }) => `127.0.0.1:${port}`)
  const source = remoteSource(t, { hosts, limits: { maxCalls: 4, maxCallsPerOrigin: 3 } })
  const client = new AbortController()
  const waiting = Array.from({ length: 20 }, () =>
    source.fetch(`${slow.origin}/`, {}, client.signal).catch((error: unknown) => error),
  )
  while (slow.requests.length < 3) await new Promise(setImmediate)
  assert.deepEqual(await buffer(opened(await source.fetch(`${quick.origin}/`, {}, never)).body), BYTES)
  const reason = new Error('the client has gone')
  client.abort(reason)
  assert.deepEqual([...new Set(await Promise.all(waiting))], [reason])
  assert.equal(slow.requests.length, 3)
})

test('a client who goes ends the fetch with the reason, whichever point it has come to', async (t) => {
  const host = await startRemoteHost(t, (request, response) => {
    if (request.url === '/body') response.write('begin')
  })
  const dns = await startStubDns(t, () => 'silent')
  const hosts = [`127.0.0.1:${host.port}`, `cat.example:${host.port}`]
  const source = remoteSource(t, { hosts, dnsServers: [dns.server] })
  const reason = new Error('the client has gone')
  const isReason = (error: unknown): boolean => error === reason

  await assert.rejects(source.fetch(`${host.origin}/`, {}, AbortSignal.abort(reason)), isReason)
  assert.equal(host.accepted(), 0)

  const atDns = new AbortController()
  const resolving = source.fetch(`http://cat.example:${host.port}/`, {}, atDns.signal)
  while (dns.questions.length < 2) await new Promise(setImmediate)
  atDns.abort(reason)
  await assert.rejects(resolving, isReason)

  const atHead = new AbortController()
  const asking = source.fetch(`${host.origin}/head`, {}, atHead.signal)
  while (host.requests.length < 1) await new Promise(setImmediate)
  atHead.abort(reason)
  await assert.rejects(asking, isReason)

  const atBody = new AbortController()
  const { body } = opened(await source.fetch(`${host.origin}/body`, {}, atBody.signal))
  atBody.abort(reason)
  await assert.rejects(buffer(body), isReason)
  while (host.open() > 0) await new Promise(setImmediate)
})

test('an origin that fails again and again is left alone, and asked again soon', async (t) => {
  let isDown = true
  const host = await startRawHost(t, (socket) => {
    if (isDown) socket.destroy()
    else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  const ask = (): Promise<RemoteAnswer> => source.fetch(`${host.origin}/cat.jpg`, {}, never)
  for (let turn = 0; turn < 5; turn += 1) await assert.rejects(ask, { code: 'remote_failed' })
  await assert.rejects(ask, { code: 'remote_failed', message: /failed repeatedly/ })
  assert.equal(host.accepted(), 5)
  isDown = false
  const deadline = performance.now() + 5000
  for (;;) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined) {
      assert.equal((await buffer(opened(answer).body)).toString(), 'ok')
      break
    }
    assert.ok(performance.now() < deadline, 'it should have been asked again within 5 s')
    await delay(50)
  }
})

test('only hosts of the list are asked, also by way of a redirection', async (t) => {
  const other = await startRemoteHost(t, (_request, response) => response.end(BYTES))
  const host = await startRemoteHost(t, (_request, response) =>
    response.writeHead(302, { Location: `${other.origin}/cat.jpg` }).end(),
  )
  const source = remoteSource(t, { hosts: [`127.0.0.1:${host.port}`] })
  await assert.rejects(source.fetch(`${other.origin}/cat.jpg`, {}, never), {
    code: 'remote_not_allowed',
    message: `${other.origin} is not an allowed host (REMOTE_HOSTS)`,
  })
  await assert.rejects(source.fetch(`${host.origin}/cat.jpg`, {}, never), { code: 'remote_not_allowed' })
  assert.deepEqual([host.accepted(), other.accepted()], [1, 0])
  const none = remoteSource(t, { hosts: [] })
  await assert.rejects(none.fetch(`${host.origin}/cat.jpg`, {}, never), { code: 'remote_not_allowed' })
})
