import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import type { Context, Middleware, Next } from 'koa'
import { isWithinRoot } from '../../domain/text/path-text.ts'
import { errorHeaders, SERVER_ERRORS, type ServerError } from '../answer/error-response.ts'
import { hasBody, type RequestState } from '../request/request-state.ts'
import type { Shed } from './shed.ts'

const HEADERS_TIMEOUT_MS = 10_000
/** The longest upload; the handler ends slower clients long before. */
const REQUEST_TIMEOUT_MS = 600_000
const KEEP_ALIVE_MS = 60_000
/**
 * A client that reads nothing of its response for this time is disconnected, as it holds a file or a call of the store.
 * Node checks twice, so it may take double the time.
 */
const SEND_TIMEOUT_MS = 15_000
/** Above nginx's limit, whose error for too many headers has the common format. */
const MAX_HEADER_BYTES = 24 * 1024
/** Time for requests in progress at shutdown, within the ten seconds that process managers allow. */
const LAST_ANSWERS_MS = 7000

/** The HTTP server, with timeouts against idle clients. @param shed Receives each request first. */
export function createHttpServer(app: Koa<RequestState>, shed: Shed = goOnAtOnce): Server {
  const handle = app.callback()
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Checked by `isAmbiguous`.
      requireHostHeader: false,
      // Such requests emit no events: a tenth of the time of a hit.
      optimizeEmptyRequests: true,
    },
    (request, response) => {
      // From here on only a slow client delays the response. A body that is not a stream is in memory anyway.
      response.on('pipe', () => response.setTimeout(SEND_TIMEOUT_MS, () => response.destroy()))
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

/**
 * Connections that the kernel queues for the node: with Node's default of 511 the requests of a large page waited a
 * second.
 */
const BACKLOG = 4096

/** @param port 0: any free port. @returns the URL. @throws The system error, such as EADDRINUSE. */
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

/** Accepts no new connections, lets responses in progress end, then closes the rest. */
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

/**
 * Path and query of a request target. A client may send an absolute URL, as to a proxy; its scheme and host are
 * ignored, as by nginx.
 *
 * @returns undefined for other targets, for which URL parsers such as Koa's would throw; and for a path that nginx
 *   rejects, so that both respond alike: malformed percent-encoding, a NUL, or a path out of the root.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-3.2
 * @example originForm('http://example.com/image/x?s=1') // '/image/x?s=1'
 */
export function originForm(target: string): string | undefined {
  const form = target.startsWith('/') ? target : afterHost(target)
  if (form === undefined) return undefined
  const [path = ''] = form.split(/[?#]/, 1)
  return isWithinRoot(path) ? form : undefined
}

const ABSOLUTE =
  /^[a-z][a-z0-9+.-]*:\/\/(?:\.?[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|\[[^/?#\]]*\])(?::\d*)?(?<rest>$|[/?].*)/is

/** The text after scheme and host, if nginx accepts these. */
function afterHost(target: string): string | undefined {
  const { rest } = ABSOLUTE.exec(target)?.groups ?? {}
  if (rest === undefined) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

const REFUSALS = {
  400: SERVER_ERRORS[400],
  408: SERVER_ERRORS[408],
  // Node itself refuses only bodies with such chunks.
  413: { code: 'original_too_large', message: 'The chunk extensions of the request body are too large' },
  417: {
    code: 'expectation_failed',
    message: 'Unsupported Expect header; the only supported expectation is 100-continue',
  },
  431: SERVER_ERRORS[431],
} as const satisfies Readonly<Record<number, ServerError>>
type Refusal = keyof typeof REFUSALS

/**
 * Responds to malformed HTTP, which does not reach the app, in the format of the app. Node's own responses have neither
 * a body nor security and caching headers.
 */
function answerProtocolErrors(server: Server): void {
  const latest = new WeakMap<Duplex, Exchange>()
  server.prependListener('request', (request, response) => {
    const { socket } = request
    latest.set(socket, { request, response })
    // An idle connection must not keep its last request in memory, whose headers may have 24 KB. `once` takes a twentieth of the
    // time of a hit.
    response.on('close', () => {
      if (latest.get(socket)?.response === response) latest.delete(socket)
    })
  })
  server.on('checkExpectation', (_, response) => refuse(response, 417))
  server.on('clientError', (error, socket) => {
    // The error must not be taken for the response to an earlier request that is still pending.
    if (!socket.writable || ('code' in error && error.code === 'ECONNRESET') || !isTurnOf(socket, latest.get(socket))) {
      socket.destroy(error)
      return
    }
    socket.end(answerText(refusalOf(error)), () => socket.destroy(error))
  })
}

/** Whether the host of a request is ambiguous: servers that interpret it differently could be exploited. */
function isAmbiguous({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  return hosts > 1 || (hosts === 0 && httpVersion === '1.1')
}

/** Also closes the connection. */
function refuse(response: ServerResponse, status: Refusal): void {
  const body = bodyOf(status)
  response.writeHead(status, { ...errorHeaders(body), Connection: 'close' }).end(body)
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/**
 * Whether the last request of a connection is answered, or has itself failed: in its body, before its response began.
 */
function isTurnOf(socket: Duplex, last: Exchange | undefined): boolean {
  if (last === undefined || last.response.writableFinished) return true
  return !last.request.complete && !last.response.headersSent && last.response.socket === socket
}

function refusalOf(error: Error): Refusal {
  const code = 'code' in error ? error.code : undefined
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 413
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

function answerText(status: Refusal): string {
  const body = bodyOf(status)
  const headers = Object.entries({ ...errorHeaders(body), Connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers.join('\r\n')}\r\n\r\n${body}`
}

function bodyOf(status: Refusal): string {
  const { code, message } = REFUSALS[status]
  return JSON.stringify({ error: code, message })
}

/** Time for a client that keeps sending a refused body to read the response. */
const LINGER_MS = 5000
/** The same for a client that was refused for its silence. */
const LINGER_SLOW_MS = 2000

/**
 * Reads and discards the rest of a refused body for a while: some clients read no response before they have sent
 * everything, and the connection would hang.
 */
export function dropUnreadBody(): Middleware<RequestState> {
  const dropAfter = async (ctx: Context, next: Next): Promise<void> => {
    const { req, res } = ctx
    try {
      await next()
    } finally {
      if (!req.complete) dropRest(req, res, ctx.status === 408 ? LINGER_SLOW_MS : LINGER_MS)
    }
  }
  return (ctx, next) => (hasBody(ctx.req) ? dropAfter(ctx, next) : next())
}

function dropRest(req: IncomingMessage, res: ServerResponse, lingerMs: number): void {
  // With `Connection: close` Node would close right after the response, and incoming data would reset the connection:
  // so only our half is closed, and the other half is read.
  const isLast = !res.shouldKeepAlive
  res.shouldKeepAlive = true
  res.once('finish', () => {
    // The destination does not read any more.
    req.unpipe()
    req.resume()
    if (isLast) req.socket.end()
    const timer = setTimeout(() => req.destroy(), lingerMs)
    timer.unref()
    req.once('close', () => {
      clearTimeout(timer)
      if (isLast) req.socket.destroySoon()
    })
  })
}
