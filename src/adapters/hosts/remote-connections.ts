import type { Socket } from 'node:net'
import { Client, type Dispatcher, errors } from 'undici'
import { remoteFailed } from './remote-failure.ts'
import type { RemoteLimits } from './remote-origins.ts'
import type { OpenRemoteSocket } from './remote-socket.ts'

export interface RemoteRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** For one request at a time. Whoever took it calls `keep` or `end`. */
export interface RemoteConnection {
  /** It has answered before, so the other end may have closed it meanwhile. */
  readonly isUsed: boolean
  /** @returns The head of the answer has come; the body's errors are listened to. Rejects when the connection has ended. */
  get(request: RemoteRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData>
  /** True if bytes came after the answer that don't belong to it. */
  isOverlong(): boolean
  /** Leaves it for the next request to the same origin. */
  keep(): void
  /** Closes it, or stops opening it. */
  end(): void
}

export interface RemoteConnections {
  /** Connects when the first request is made. @param fresh Not one that was kept. */
  take(origin: string, fresh: boolean): RemoteConnection
  /** Ends those that nobody has taken. */
  close(): Promise<void>
}

interface Line {
  readonly client: Client
  readonly origin: string
  readonly opening: AbortController
  socket?: Socket
  onOpen?: (socket: Socket) => void
}

const MAX_HEADER_BYTES = 16_384
const IDLE_MS = 4000
const MAX_IDLE_MS = 15_000

/**
 * Connections that are kept for some seconds. They are given out one by one rather than by a pool of undici's, because of
 * an answer that goes wrong one has to know which connection it came by.
 */
export function createRemoteConnections(
  openSocket: OpenRemoteSocket,
  limits: RemoteLimits & { readonly maxBytes: number },
): RemoteConnections {
  const idle = new Set<Line>()

  const end = (line: Line): void => {
    idle.delete(line)
    line.opening.abort()
    void line.client.destroy()
  }

  const open = (origin: string): Line => {
    const opening = new AbortController()
    const client = new Client(origin, {
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      maxResponseSize: limits.maxBytes,
      // Exact to a second at best: `guardHead` and `remoteBody` have their own timers.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: MAX_IDLE_MS,
      connect({ hostname, protocol, port }, callback) {
        const secure = protocol === 'https:'
        openSocket({ hostname, port: Number(port) || (secure ? 443 : 80), secure }, opening.signal).then(
          (socket) => {
            line.socket = socket
            callback(null, socket)
            line.onOpen?.(socket)
          },
          (error: unknown) => callback(asError(error), null),
        )
      },
    })
    const line: Line = { client, origin, opening }
    client.on('disconnect', () => {
      if (idle.has(line)) end(line)
    })
    return line
  }

  const get = async (line: Line, request: RemoteRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> => {
    let stopGuard = (): void => {}
    const guard = (socket: Socket): void => {
      stopGuard = guardHead(socket, limits.firstByteTimeoutMs)
    }
    if (line.socket === undefined) line.onOpen = guard
    else guard(line.socket)
    // undici looks at the signal of a request only from when it is connected.
    const onAbort = (): void => end(line)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const answer = await line.client.request({ ...request, method: 'GET' })
      // Without a listener a body that nobody reads would end the process when it fails.
      answer.body.on('error', () => {})
      return answer
    } finally {
      delete line.onOpen
      stopGuard()
      signal.removeEventListener('abort', onAbort)
    }
  }

  return {
    take(origin, fresh) {
      const kept = fresh ? undefined : [...idle].findLast((line) => line.origin === origin)
      const line = kept ?? open(origin)
      idle.delete(line)
      return {
        isUsed: kept !== undefined,
        get: (request, signal) => get(line, request, signal),
        isOverlong: () => line.socket !== undefined && hasSurplus(line.socket),
        keep() {
          if (line.socket === undefined || line.socket.destroyed || idle.size >= limits.maxCalls) end(line)
          else idle.add(line)
        },
        end: () => end(line),
      }
    },
    async close() {
      await Promise.all([...idle].map(({ client }) => client.destroy()))
      idle.clear()
    },
  }
}

/**
 * What comes in one piece with the end of an answer is read at once, as another answer: undici gives the connection up for
 * what is none, and for one that nobody asked for. A host that closes its connection is another matter.
 */
function hasSurplus({ errored, readableEnded }: Socket): boolean {
  return errored instanceof errors.HTTPParserError || (errored instanceof errors.SocketError && !readableEnded)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('Not connected', { cause: error })
}

/** More than undici's own limit for headers, and than a socket reads ahead into a body. That limit counts neither the
 * status line nor informational answers, which can be endless as well. */
const MAX_READ_BYTES = 262_144

/**
 * Destroys the socket, with a RemoteError, if the head of the next answer is late or endless. undici's own timers are
 * exact to a second or so, and start anew with every informational answer.
 *
 * @returns To be called when the head has come, or nobody waits for it any more.
 */
function guardHead(socket: Socket, timeoutMs: number): () => void {
  const readBefore = socket.bytesRead
  const onReadable = (): void => {
    if (socket.bytesRead - readBefore > MAX_READ_BYTES)
      socket.destroy(remoteFailed('sent response headers that are too large'))
  }
  const timer = setTimeout(() => socket.destroy(remoteFailed('did not start to respond in time')), timeoutMs)
  socket.on('readable', onReadable)
  return () => {
    clearTimeout(timer)
    socket.off('readable', onReadable)
  }
}
