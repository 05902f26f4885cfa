import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import Koa from 'koa'
import { close, createHttpServer, listen } from '../../src/http/connection/server.ts'
import type { RequestState } from '../../src/http/request/request-state.ts'
import { isCollected } from '../support/is-collected.ts'

test('An idle connection does not hold its last request in memory', async (t) => {
  const requests: WeakRef<object>[] = []
  const app = new Koa<RequestState>()
  app.use((ctx) => {
    requests.push(new WeakRef(ctx.req), new WeakRef(ctx.res))
    ctx.body = 'a'
  })
  const server = createHttpServer(app)
  t.after(() => close(server))
  const { hostname, port } = new URL(await listen(server, 0, '127.0.0.1'))
  const socket = connect(Number(port), hostname)
  t.after(() => socket.destroy())
  for (let times = 0; times < 2; times += 1) {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'data')
  }
  assert.equal(requests.length, 4)
  for (const request of requests) assert.ok(await isCollected(request), 'the request is still in memory')
  assert.equal(socket.readyState, 'open')
})
