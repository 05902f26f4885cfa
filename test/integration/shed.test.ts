import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import Koa from 'koa'
import { UnavailableError } from '../../src/errors.ts'
import type { Ended } from '../../src/http/connection/access-log.ts'
import { close, createHttpServer, listen } from '../../src/http/connection/server.ts'
import { createShed } from '../../src/http/connection/shed.ts'
import type { RequestState } from '../../src/http/request/request-state.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'

const PATH = '/image/x/400w/x.webp'
const ABSENT = { 'X-Not-On-Disk': '1' }

async function setUp(t: TestContext) {
  const state = { overloaded: true, diskFails: false, greedy: '', seats: 0 }
  const reported: Ended[] = []
  const flag: string[] = []
  const app = new Koa<RequestState>()
  let answer = Promise.resolve()
  app.use(async (ctx) => {
    await answer
    ctx.body = 'the app'
  })
  const error = new UnavailableError('overloaded', 'Too many', { retryAfterSeconds: 3 })
  const shed = createShed({
    isKnown: () => false,
    refusal: (client) => (state.overloaded || client === state.greedy ? error : undefined),
    takeSeat() {
      state.seats += 1
      return () => void (state.seats -= 1)
    },
    diskFails: () => state.diskFails,
    report: (ended) => reported.push(ended),
    clientOf: ({ headers, socket }) => String(headers['x-forwarded-for'] ?? socket.remoteAddress),
    flags: { raise: (name) => flag.push(`raised ${name}`), lower: (name) => flag.push(`lowered ${name}`) },
  })
  const server = createHttpServer(app, shed)
  const url = await listen(server, 0, '127.0.0.1')
  t.after(() => close(server))
  return {
    state,
    reported,
    flag,
    server,
    url,
    hold() {
      const held = Promise.withResolvers<void>()
      answer = held.promise
      return held.resolve
    },
    ask: (headers: Readonly<Record<string, string>> = ABSENT, method = 'GET', path = PATH) =>
      rawRequest(url, path, { headers, method }),
  }
}

test('Under overload who asks for what nginx has not found is refused before the app, and reported', async (t) => {
  const { ask, reported } = await setUp(t)
  const { status, headers, body } = await ask(ABSENT, 'GET', `${PATH}?secret`)
  assert.equal(status, 503)
  assert.deepEqual(JSON.parse(body.toString()), { error: 'overloaded', message: 'Too many' })
  const { 'cache-control': caching, 'retry-after': retryAfter, 'x-content-type-options': sniff } = headers
  assert.deepEqual([caching, retryAfter, sniff], ['no-store', '3', 'nosniff'])
  const [{ seconds, requestId, error, ...said }] = [reported[0] ?? assert.fail('reported')]
  assert.deepEqual(said, {
    client: '127.0.0.1',
    method: 'GET',
    path: PATH,
    status: 503,
    bytes: body.length,
    tier: undefined,
    isShed: true,
  })
  assert.ok(seconds >= 0 && seconds < 10 && requestId !== '' && error instanceof UnavailableError)
  const head = await ask(ABSENT, 'HEAD')
  assert.deepEqual([head.status, head.body.length, head.headers['content-length']], [503, 0, headers['content-length']])
})

test('Whatever else is asked for, and everything while there is room or the disk fails, is the app’s', async (t) => {
  const { ask, state } = await setUp(t)
  for (const [headers, method] of [
    [{}, 'GET'],
    [{ 'X-Not-On-Disk': '' }, 'GET'],
    [{ ...ABSENT, 'X-Render-Again': '1' }, 'GET'],
    [{ ...ABSENT, 'Content-Length': '0' }, 'GET'],
    [ABSENT, 'DELETE'],
  ] as const) {
    assert.equal((await ask(headers, method)).body.toString(), 'the app', `${method} ${JSON.stringify(headers)}`)
  }
  state.diskFails = true
  assert.equal((await ask()).status, 200)
  Object.assign(state, { diskFails: false, overloaded: false })
  assert.equal((await ask()).status, 200)
})

test('A picture that is being made for somebody is waited for, however many ask for it, and no longer than that', async (t) => {
  const { ask, state, hold, server } = await setUp(t)
  const release = hold()
  state.overloaded = false
  const seen: unknown[] = []
  server.on('request', ({ url }) => seen.push(url))
  const first = ask()
  await once(server, 'request')
  state.overloaded = true
  const joined = Promise.all([ask(), ask()])
  assert.equal((await ask(ABSENT, 'GET', `${PATH}?other`)).status, 503)
  while (seen.length < 4) await setImmediate()
  release()
  for (const { status } of [await first, ...(await joined)]) assert.equal(status, 200)
  // The end of an answer is seen a moment later by who has given it.
  while ((await ask()).status === 200);
})

test('Of many that come at once one goes on in a turn; those behind hold seats, and are refused if there is no room then', async (t) => {
  const { state, server, url } = await setUp(t)
  state.overloaded = false
  let parsed = 0
  const seats: number[] = []
  server.on('request', () => {
    seats.push(state.seats)
    parsed += 1
    if (parsed === 12) state.overloaded = true
  })
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.after(() => socket.destroy())
  const request = (index: number) => `GET ${PATH}?${index} HTTP/1.1\r\nHost: x\r\nX-Not-On-Disk: 1\r\n\r\n`
  // In one packet, so that all are parsed in one turn.
  socket.write(Array.from({ length: 12 }, (_, index) => request(index)).join(''))
  let answers = ''
  for await (const chunk of socket) {
    answers += String(chunk)
    if (answers.split('HTTP/1.1 ').length > 12 && answers.endsWith('}')) break
  }
  assert.deepEqual(seats, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  const statuses = [...answers.matchAll(/HTTP\/1\.1 (?<status>\d+)/g)].map(({ groups }) => groups?.['status'])
  assert.deepEqual(
    statuses,
    seats.map((_, index) => (index === 0 ? '200' : '503')),
  )
  assert.equal(state.seats, 0)
})

test('After five refusals in a row the flag is up, until there is room again', async (t) => {
  const { ask, state, flag } = await setUp(t)
  for (let round = 0; round < 2; round += 1) {
    flag.length = 0
    state.overloaded = true
    for (let refusal = 0; refusal < 4; refusal += 1) assert.equal((await ask()).status, 503)
    assert.deepEqual(flag, [])
    for (let refusal = 0; refusal < 4; refusal += 1) assert.equal((await ask()).status, 503)
    assert.deepEqual(flag, ['raised all'])
    state.overloaded = false
    while (flag.length < 2) await delay(1)
    assert.deepEqual(flag, ['raised all', 'lowered all'])
  }
})

test('One who is let in between refusals keeps the flag down, one who only joins does not', async (t) => {
  const { ask, state, flag, hold, server } = await setUp(t)
  for (let refusal = 0; refusal < 20; refusal += 1) {
    state.overloaded = refusal % 4 !== 0
    await ask()
  }
  assert.deepEqual(flag, [])
  const release = hold()
  state.overloaded = false
  const first = ask()
  await once(server, 'request')
  state.overloaded = true
  const joined: Promise<unknown>[] = []
  for (let refusal = 0; refusal < 5; refusal += 1) {
    joined.push(ask(), once(server, 'request'))
    assert.equal((await ask(ABSENT, 'GET', `${PATH}?other`)).status, 503)
  }
  assert.deepEqual(flag, ['raised all'])
  release()
  await Promise.all([first, ...joined])
})

test('While the disk takes nothing the flag is down', async (t) => {
  const { ask, state, flag } = await setUp(t)
  for (let refusal = 0; refusal < 5; refusal += 1) await ask()
  state.diskFails = true
  while (flag.length < 2) await delay(1)
  assert.deepEqual(flag, ['raised all', 'lowered all'])
})

test('A client that has had its part has a flag of its own, and nobody else is refused', async (t) => {
  const { ask, state, flag } = await setUp(t)
  const [greedy, other] = ['192.0.2.7', '192.0.2.8'].map((address) => ({ ...ABSENT, 'X-Forwarded-For': address }))
  Object.assign(state, { overloaded: false, greedy: '192.0.2.7' })
  for (let view = 0; view < 10; view += 1) {
    assert.equal((await ask(greedy)).status, 503)
    assert.equal((await ask(other)).status, 200)
  }
  assert.deepEqual(flag, ['raised 192.0.2.7'])
  state.greedy = ''
  while (flag.length < 2) await delay(1)
  assert.deepEqual(flag, ['raised 192.0.2.7', 'lowered 192.0.2.7'])
  assert.equal((await ask(greedy)).status, 200)
})

test('The flags of a network of IPv6 are by its addresses, as nginx has them, and what is no address has none', async (t) => {
  const { ask, state, flag } = await setUp(t)
  Object.assign(state, { overloaded: false, greedy: '2001:db8::/64' })
  for (let view = 0; view < 5; view += 1) {
    for (const address of ['2001:db8::7', '2001:db8::8']) {
      assert.equal((await ask({ ...ABSENT, 'X-Forwarded-For': address })).status, 503)
    }
  }
  assert.deepEqual(flag, ['raised 2001:db8::7', 'raised 2001:db8::8'])
  state.greedy = '../../somewhere'
  for (let view = 0; view < 9; view += 1) {
    assert.equal((await ask({ ...ABSENT, 'X-Forwarded-For': '../../somewhere' })).status, 503)
  }
  assert.equal(flag.filter((each) => each.startsWith('raised')).length, 2)
})
