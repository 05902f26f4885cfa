// The least that Node can do behind nginx: a Koa that points at the same file for every request. No router, no log. It yields to
// other sessions as a node does: nginx and the load generator use the same cores.
// usage: PORT=… HEADERS='{"…":"…"}' node bench/constant-koa.ts
import Koa from 'koa'
import { yieldToOtherSessions } from '../src/adapters/renderer/session-priority.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'

const given = jsonFields(process.env.HEADERS)
const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))
yieldToOtherSessions()
const app = new Koa()
app.use((ctx) => {
  ctx.set(headers)
  ctx.body = ''
})
app.listen(Number(process.env.PORT), '127.0.0.1')
