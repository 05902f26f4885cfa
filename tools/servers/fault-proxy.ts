import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline, Transform } from 'node:stream'

const DRIP_MS = 100

/** What goes wrong. A body is the answer's; `matching` says with which requests, all of them by default. */
export type Fault = { readonly matching?: FaultMatch } & (
  | { readonly kind: 'refuse' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'latency'; readonly ms: number }
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  | { readonly kind: 'status'; readonly status: number; readonly code?: string }
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'flip'; readonly atByte: number }
  | { readonly kind: 'lose-answer' }
  | { readonly kind: 'html' }
  | { readonly kind: 'redirect' }
  /** Nothing wrong, but for these headers on the answer, in place of the server's of the same names. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string>> }
)

/** `refuse` knows no match: there is no request to look at. */
export interface FaultMatch {
  readonly method?: RegExp
  /** Of the path with its query. */
  readonly path?: RegExp
  /** Only the first so many requests that match otherwise, counted from `setFault`. */
  readonly first?: number
  /** Only each so many of them, such as every hundredth. */
  readonly every?: number
}

export interface FaultProxy {
  readonly endpoint: string
  /** As `GET /bucket/key?query`, in order of arrival. */
  readonly requests: string[]
  /** From clients, idle ones included. */
  readonly openConnections: () => number
  /** Takes effect on open connections too. Undefined ends the fault; what hangs because of it goes on hanging. */
  setFault(fault: Fault | undefined): Promise<void>
  stop(): Promise<void>
}

/**
 * An HTTP proxy in front of one server that breaks the traffic on demand. Forwards heads as they are, `Host` included, so
 * that signatures stay valid.
 *
 * @param target As `http://127.0.0.1:8333`.
 */
export async function startFaultProxy({ target }: { target: string }): Promise<FaultProxy> {
  const upstream = new URL(target)
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  let fault: Fault | undefined
  let hits = 0

  const faultOf = (incoming: IncomingMessage): Fault | undefined => {
    const { method, path, first = Infinity, every = 1 } = fault?.matching ?? {}
    if (method?.test(incoming.method ?? '') === false || path?.test(incoming.url ?? '') === false) return undefined
    hits += 1
    return hits > first || hits % every !== 0 ? undefined : fault
  }

  const later = (ms: number, action: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      action()
    }, ms)
    timers.add(timer)
  }

  const forward = (incoming: IncomingMessage, answer: ServerResponse, active: Fault | undefined): void => {
    const { method, url, rawHeaders } = incoming
    const options = {
      host: upstream.hostname,
      port: upstream.port,
      method,
      path: url,
      headers: rawHeaders,
      agent: false,
    }
    const outgoing = request(options, (response) => {
      if (active?.kind === 'lose-answer') {
        response.resume().once('end', () => incoming.socket.destroy())
        return
      }
      const added = active?.kind === 'headers' ? active.headers : {}
      const kept = without(response.rawHeaders, ['connection', 'keep-alive', ...Object.keys(added)])
      answer.writeHead(response.statusCode ?? 502, [...kept, ...Object.entries(added).flat()])
      // Else a body cut at its first byte would take the head along.
      answer.flushHeaders()
      const cut = (): void => void incoming.socket.destroy()
      pipeline(response, damage(active, { later, cut }), answer, () => {})
    })
    outgoing.once('error', () => {
      if (!answer.headersSent) incoming.socket.destroy()
    })
    // A client that leaves takes its request along.
    answer.once('close', () => outgoing.destroy())
    // Not `pipeline`: a server that answers before it has read the request must not cost the client its connection.
    incoming.pipe(outgoing)
    outgoing.once('close', () => incoming.resume())
  }

  const server = createServer((incoming, answer) => {
    requests.push(`${incoming.method} ${incoming.url}`)
    const active = faultOf(incoming)
    if (active?.kind === 'silent') return
    if (active?.kind === 'latency') later(active.ms, () => forward(incoming, answer, undefined))
    else if (active?.kind === 'status') sendStatus(answer, active)
    else if (active?.kind === 'html') sendPage(answer, 200)
    else if (active?.kind === 'redirect') sendPage(answer, 302)
    else forward(incoming, answer, active)
  })
  server.keepAliveTimeout = 60_000
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const port = await listen(server, 0)

  const close = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    server.close(() => resolve())
    for (const socket of sockets) socket.destroy()
    await promise
  }

  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    openConnections: () => sockets.size,
    async setFault(next) {
      fault = next
      hits = 0
      if (next?.kind === 'refuse') await close()
      else if (!server.listening) await listen(server, port)
    },
    async stop() {
      for (const timer of timers) clearTimeout(timer)
      if (server.listening) await close()
    },
  }
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, '127.0.0.1', resolve)
  await promise
  server.off('error', reject)
  return addressOf(server.address()).port
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new TypeError('The server does not listen on TCP')
  return address
}

/** Names and values in turn, as Node has them. */
function without(rawHeaders: readonly string[], names: readonly string[]): string[] {
  const lower = names.map((name) => name.toLowerCase())
  return rawHeaders.filter((_, index) => !lower.includes((rawHeaders[index - (index % 2)] ?? '').toLowerCase()))
}

interface DamageTools {
  readonly later: (ms: number, action: () => void) => void
  readonly cut: () => void
}

/** Passes an answer's body on as the fault has it. */
function damage(fault: Fault | undefined, { later, cut }: DamageTools): Transform {
  let passed = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const from = passed
      passed += chunk.length
      if (fault?.kind === 'throttle') {
        const piece = Math.ceil((fault.bytesPerSecond * DRIP_MS) / 1000)
        const drip = (rest: Buffer): void => {
          this.push(rest.subarray(0, piece))
          if (rest.length > piece) later(DRIP_MS, () => drip(rest.subarray(piece)))
          else later(DRIP_MS, done)
        }
        drip(chunk)
      } else if (fault?.kind === 'flip' && from <= fault.atByte && fault.atByte < passed) {
        const damaged = Buffer.from(chunk)
        damaged.writeUInt8(damaged.readUInt8(fault.atByte - from) ^ 1, fault.atByte - from)
        done(null, damaged)
      } else if (fault?.kind === 'truncate' && passed > fault.afterBytes) {
        this.push(chunk.subarray(0, fault.afterBytes - from))
        // Cut after what was passed on is on its way, not before.
        later(20, cut)
      } else if (fault?.kind === 'stall' && passed > fault.afterBytes) {
        this.push(chunk.subarray(0, fault.afterBytes - from))
      } else {
        done(null, chunk)
      }
    },
  })
}

function sendStatus(
  answer: ServerResponse,
  { status, code = 'InternalError' }: { status: number; code?: string },
): void {
  answer.writeHead(status, { 'Content-Type': 'application/xml', Connection: 'close' })
  answer.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>Fault</Message></Error>`)
}

function sendPage(answer: ServerResponse, status: number): void {
  const location = status === 302 ? { Location: 'http://portal.invalid/login' } : {}
  answer.writeHead(status, { 'Content-Type': 'text/html', Connection: 'close', ...location })
  answer.end('<!DOCTYPE html><html><head><title>Log in</title></head><body><p>Accept our terms.</p></body></html>')
}
