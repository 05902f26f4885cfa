import { createServer, type Server } from 'node:http'
import type Koa from 'koa'
import type { RequestState } from '../request/request-state.ts'
import { answerProtocolErrors, isAmbiguous, refuse } from './protocol-errors.ts'
import { originForm } from './request-target.ts'
import type { Shed } from './shed.ts'

const HEADERS_TIMEOUT_MS = 10_000
/** The longest upload; slower clients are sent away long before, by the handler. */
const REQUEST_TIMEOUT_MS = 600_000
const KEEP_ALIVE_MS = 60_000
/**
 * A client that takes nothing of its answer for so long holds a file or a call of the store for nothing. Node looks twice, so it
 * may be double.
 */
const SEND_TIMEOUT_MS = 15_000
/** Above nginx's, whose answer to too many headers has our shape. */
const MAX_HEADER_BYTES = 24 * 1024
/** What is under way at the end gets this long, within the ten seconds that process managers allow. */
const LAST_ANSWERS_MS = 7000

/** A server that clients cannot keep busy with nothing. @param shed Sees each request first. */
export function createHttpServer(app: Koa<RequestState>, shed: Shed = goOnAtOnce): Server {
  const handle = app.callback()
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Ours to say: see `isAmbiguous`.
      requireHostHeader: false,
    },
    (request, response) => {
      // From here on it is the client who is waited for. What is no stream is in memory anyhow.
      response.once('pipe', () => response.setTimeout(SEND_TIMEOUT_MS, () => response.destroy()))
      const target = originForm(request.url ?? '')
      if (target === undefined || isAmbiguous(request)) {
        refuse(response, 400)
        return
      }
      request.url = target
      shed(request, response, () => void handle(request, response))
    },
  )
  answerProtocolErrors(server)
  return server
}

const goOnAtOnce: Shed = (_request, _response, goOn) => goOn()

/** Connections that the kernel accepts before the node does: with Node's default of 511 a page's burst waited a second for the rest. */
const BACKLOG = 4096

/** @param port 0: any free one. @returns the URL. @throws what the system says, such as EADDRINUSE. */
export function listen(server: Server, port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: BACKLOG }, () => {
      const address = server.address()
      if (address === null || typeof address === 'string') return reject(new TypeError('The server has no TCP port'))
      const { address: ip, port: actual, family } = address
      return resolve(`http://${family === 'IPv6' ? `[${ip}]` : ip}:${actual}`)
    })
  })
}

/** Takes no new connections, lets the answers under way end, then cuts what is left. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}
