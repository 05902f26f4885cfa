import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorHeaders } from '../answer/error-response.ts'
import { SERVER_ERRORS, type ServerError } from '../answer/server-errors.ts'

const REFUSALS = {
  400: SERVER_ERRORS[400],
  408: SERVER_ERRORS[408],
  // The only body that Node refuses by itself has such chunks.
  413: { code: 'original_too_large', message: 'The chunk extensions of the request body are too large' },
  417: {
    code: 'expectation_failed',
    message: 'Unsupported Expect header; the only supported expectation is 100-continue',
  },
  431: SERVER_ERRORS[431],
} as const satisfies Readonly<Record<number, ServerError>>
type Refusal = keyof typeof REFUSALS

/**
 * Answers what is no correct HTTP, and so never comes to the app, as the app answers errors. Node's own answers would have neither
 * a body nor the headers that keep browsers and caches from making something of them.
 */
export function answerProtocolErrors(server: Server): void {
  const latest = new WeakMap<Duplex, Exchange>()
  server.prependListener('request', (request, response) => {
    const { socket } = request
    latest.set(socket, { request, response })
    // An idle connection must not hold its last request, whose headers may have 24 KB.
    response.once('close', () => {
      if (latest.get(socket)?.response === response) latest.delete(socket)
    })
  })
  server.on('checkExpectation', (_, response) => refuse(response, 417))
  server.on('clientError', (error, socket) => {
    // What is said now must not be taken for the answer to an earlier request, which is still to come.
    if (!socket.writable || ('code' in error && error.code === 'ECONNRESET') || !isTurnOf(socket, latest.get(socket))) {
      socket.destroy(error)
      return
    }
    socket.end(answerText(refusalOf(error)), () => socket.destroy(error))
  })
}

/** Whether a request leaves open which host is meant: two servers that read it differently could be played off. */
export function isAmbiguous({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.length === 4 && /^host$/i.test(name)).length
  return hosts > 1 || (hosts === 0 && httpVersion === '1.1')
}

/** Ends the connection too. */
export function refuse(response: ServerResponse, status: Refusal): void {
  const body = bodyOf(status)
  response.writeHead(status, { ...errorHeaders(body), Connection: 'close' }).end(body)
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** The last request of a connection is answered, or it is what has gone wrong: in its body, with no answer begun. */
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
