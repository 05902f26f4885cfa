import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { type Answer, FOLDER, ID, PICTURE_HEADERS, setStage } from '../support/stand-in-node.ts'

const PATH = `/image/${ID}/400w/x.webp`

/** The node has a rendition on disk: nginx shall send it. */
const pointAtFile: Answer = (request, response) => {
  response.writeHead(200, {
    'X-Accel-Redirect': `/_renditions/${FOLDER}/400w.webp`,
    'Content-Type': 'image/webp',
    'X-Darkroom-Cache-Control': 'public, max-age=31536000, immutable',
    'X-Darkroom-Tier': 'disk',
    'Cache-Tag': ID,
    'Server-Timing': 'cache;desc="disk"',
    ...(request.url === `/image/${ID}/400w` && { Vary: 'Accept' }),
  })
  response.end()
}

/** The same, but when it is asked again it sends the bytes itself. */
const pointThenStream: Answer = (request, response) => {
  if (request.headers['x-render-again'] === undefined) return pointAtFile(request, response)
  response.writeHead(200, {
    'Content-Type': 'image/webp',
    'Content-Length': '13',
    'Cache-Control': 'public, max-age=31536000, immutable',
    'X-Darkroom-Tier': 'miss',
    'Cache-Tag': ID,
  })
  response.end('rendered again'.slice(0, 13))
}

test('A file that the node points at carries the headers of a direct hit, once each', async (t) => {
  const { nginx, node, publish } = await setStage(t, pointAtFile, { directHits: false })
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  for (const [method, path] of [
    ['GET', PATH],
    ['HEAD', PATH],
    ['GET', `/image/${ID}/400w`],
  ] as const) {
    const { status, headers, rawHeaders, body } = await rawRequest(nginx.origin, path, { method })
    assert.equal(status, 200)
    assert.equal(body.toString(), method === 'GET' ? 'a picture' : '')
    const { date: _date, connection: _connection, ...rest } = headers
    assert.deepEqual(rest, {
      ...PICTURE_HEADERS,
      server: 'nginx',
      'content-type': 'image/webp',
      'content-length': '9',
      etag: `"${(1_700_000_000).toString(16)}-9"`,
      'last-modified': new Date(1_700_000_000_000).toUTCString(),
      'cache-control': 'public, max-age=31536000, immutable',
      'cache-tag': ID,
      'server-timing': 'cache;desc="disk"',
      ...(path !== PATH && { vary: 'Accept' }),
    })
    assert.equal(rawHeaders.length / 2, Object.keys(headers).length, 'no header came twice')
  }
  assert.deepEqual(node.requests, [`GET ${PATH}`, `HEAD ${PATH}`, `GET /image/${ID}/400w`])
})

test('nginx cuts one range out of a file that the node points at, and answers several with the whole', async (t) => {
  const { nginx, publish } = await setStage(t, pointAtFile)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const { etag = '' } = (await rawRequest(nginx.origin, PATH)).headers
  const cases = [
    [{ Range: 'bytes=2-4' }, 206, 'pic', 'bytes 2-4/9'],
    [{ Range: 'bytes=-3' }, 206, 'ure', 'bytes 6-8/9'],
    [{ Range: 'bytes=2-4', 'If-Range': etag }, 206, 'pic', 'bytes 2-4/9'],
    [{ Range: 'bytes=2-4', 'If-Range': '"another"' }, 200, 'a picture', undefined],
    [{ Range: 'bytes=0-1,3-4' }, 200, 'a picture', undefined],
    [{ Range: 'lines=0-1' }, 200, 'a picture', undefined],
  ] as const
  for (const [conditions, status, text, contentRange] of cases) {
    const answer = await rawRequest(nginx.origin, PATH, { headers: conditions })
    assert.equal(answer.status, status)
    assert.equal(answer.body.toString(), text)
    assert.equal(answer.headers['content-range'], contentRange)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
})

test("nginx's own refusal of a range is JSON that no cache keeps", async (t) => {
  const { nginx, publish } = await setStage(t, pointAtFile)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const { status, headers, body } = await rawRequest(nginx.origin, PATH, { headers: { Range: 'bytes=9-' } })
  assert.equal(status, 416)
  assert.equal(headers['content-range'], 'bytes */9')
  assert.match(headers['cache-control'] ?? '', /no-store/)
  assert.equal(jsonFields(body).error, 'range_not_satisfiable')
})

test('A file that is gone when nginx opens it is asked of the node once more, which sends it itself', async (t) => {
  const { nginx, node, publish } = await setStage(t, pointThenStream)
  const file = await publish(`${FOLDER}/400w.webp`, 'a picture')
  await rm(file)
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, body } = await rawRequest(nginx.origin, PATH, { method })
    assert.equal(status, 200)
    assert.equal(body.toString(), method === 'GET' ? 'rendered agai' : '')
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(headers['cache-tag'], ID)
    assert.equal(headers['content-type'], 'image/webp')
    assert.equal(headers['x-darkroom-tier'], undefined)
    assert.equal(headers.etag, undefined, 'nothing of the vanished file is left')
  }
  assert.equal(node.requests.length, 4)
})

test("The second answer's error is passed on with nothing of the first answer's caching", async (t) => {
  const { nginx } = await setStage(t, (request, response) => {
    if (request.headers['x-render-again'] === undefined) return pointAtFile(request, response)
    response
      .writeHead(404, { 'Content-Type': 'application/json', 'Cache-Control': 'max-age=10' })
      .end('{"error":"gone"}')
  })
  const { status, headers, body } = await rawRequest(nginx.origin, PATH)
  assert.equal(status, 404)
  assert.equal(headers['cache-control'], 'max-age=10')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['cache-tag'], undefined)
  assert.equal(body.toString(), '{"error":"gone"}')
})

test('A file that never appears is a 503 that no cache keeps, after two requests to the node', async (t) => {
  const { nginx, node } = await setStage(t, pointAtFile)
  const { status, headers, body } = await rawRequest(nginx.origin, PATH)
  assert.equal(status, 503)
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['retry-after'], '2')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(jsonFields(body).error, 'unavailable')
  assert.equal(node.requests.length, 2)
})

test('A node that dies when it is asked again leaves a 503 in JSON', async (t) => {
  const { nginx } = await setStage(t, (request, response) => {
    if (request.headers['x-render-again'] === undefined) return pointAtFile(request, response)
    request.socket.destroy()
  })
  const { status, headers, body } = await rawRequest(nginx.origin, PATH)
  assert.equal(status, 503)
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(jsonFields(body).error, 'unavailable')
})

test('Where the node points outside the hit tree nginx sends nothing', async (t) => {
  for (const target of ['../originals/secret', '%2e%2e/originals/secret', '..%2foriginals/secret', '', FOLDER]) {
    const { nginx, publish } = await setStage(t, (request, response) => {
      if (request.headers['x-render-again'] !== undefined) return void response.writeHead(299).end('asked again')
      response.writeHead(200, { 'X-Accel-Redirect': `/_renditions/${target}` }).end()
    })
    await publish('../originals/secret', 'a secret')
    await publish(`${FOLDER}/400w.webp`, 'a picture')
    const { status, body } = await rawRequest(nginx.origin, PATH.replace('400w', '399w'))
    assert.notEqual(status, 200, target)
    assert.doesNotMatch(body.toString(), /secret/)
  }
})

test("A client's own headers of ours mean nothing", async (t) => {
  const seen: unknown[] = []
  const { nginx, publish } = await setStage(
    t,
    (request, response) => {
      seen.push(
        ...['x-render-again', 'x-not-on-disk', 'x-darkroom-front', 'x-darkroom-next-node', 'forwarded'].map(
          (name) => request.headers[name],
        ),
      )
      pointAtFile(request, response)
    },
    { directHits: false },
  )
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const headers = {
    'X-Render-Again': '1',
    'X-Not-On-Disk': '1',
    'X-Darkroom-Front': '1',
    'X-Darkroom-Next-Node': '425',
    Forwarded: 'for=192.0.2.1',
    'X-Accel-Redirect': '/_renditions/secret',
    'X-Darkroom-Cache-Control': 'no-store',
  }
  const { body, headers: answered } = await rawRequest(nginx.origin, PATH, { headers })
  assert.equal(body.toString(), 'a picture')
  assert.equal(answered['cache-control'], 'public, max-age=31536000, immutable')
  assert.deepEqual(seen, [undefined, undefined, undefined, undefined, undefined])
})

test('Pictures that come and go while they are asked for are never an error', async (t) => {
  const { nginx, publish } = await setStage(t, pointThenStream)
  const end = new AbortController()
  const churn = async () => {
    while (!end.signal.aborted) await rm(await publish(`${FOLDER}/400w.webp`, 'a picture'))
  }
  const ask = async () => {
    for (let count = 0; count < 100; count++) {
      const { status, body } = await rawRequest(nginx.origin, PATH)
      assert.equal(status, 200)
      // This test writes its files in place, so that nginx may send one that is still empty.
      assert.match(body.toString(), /^(?:a picture|rendered agai|)$/)
    }
  }
  const churning = churn()
  try {
    await Promise.all([ask(), ask(), ask()])
  } finally {
    end.abort()
    await churning
  }
})

test('The node is told where nginx has looked for a file, and nowhere else', async (t) => {
  const seen: unknown[] = []
  const answer: Answer = (request, response) => {
    seen.push(request.headers['x-not-on-disk'] ?? '')
    response.writeHead(404).end()
  }
  const { nginx } = await setStage(t, answer)
  const negotiated = `/image/${ID}/400w`
  const asked = [
    [PATH, {}, '1'],
    [negotiated, {}, '1'],
    // Each of these goes to the node without a look.
    [PATH, { Range: 'bytes=0-1' }, ''],
    [PATH.replace('400w', '400W'), {}, ''],
    [`/images/${ID}`, {}, ''],
  ] as const
  for (const [path, headers] of asked) await rawRequest(nginx.origin, path, { headers })
  assert.deepEqual(
    seen,
    asked.map(([, , expected]) => expected),
  )
  const off = await setStage(t, answer, { directHits: false })
  for (const path of [PATH, negotiated]) await rawRequest(off.nginx.origin, path)
  assert.deepEqual(seen.slice(asked.length), ['', ''])
})
