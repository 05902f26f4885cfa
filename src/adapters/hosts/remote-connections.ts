import type { Socket } from 'node:net'
import { Client, type Dispatcher, errors } from 'undici'
import type { RemoteLimits } from './remote-origins.ts'
import type { OpenRemoteSocket } from './remote-socket.ts'
import { remoteFailed } from './remote-socket.ts'

export interface RemoteRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** A connection for one request at a time. Its user calls `keep` or `end`. */
export interface RemoteConnection {
  /** Whether it has been used before: the other end may have closed it meanwhile. */
  readonly isUsed: boolean
  /** @returns The head of the response; errors of the body are handled. Rejects when the connection has ended. */
  get(request: RemoteRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData>
  /** Whether unexpected bytes followed the response. */
  isOverlong(): boolean
  /** Keeps it for the next request to the same origin. */
  keep(): void
  /** Closes it, or stops connecting. */
  end(): void
}

export interface RemoteConnections {
  /** Connects with the first request. @param fresh Whether to exclude kept connections. */
  take(origin: string, fresh: boolean): RemoteConnection
  /** Closes the idle connections. */
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
 * Connections that are kept for some seconds. Not a pool of undici, as after a malformed response the connection must
 * be known.
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
      // Precise to a second at best: `guardHead` and `remoteBody` have their own timers.
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
    // undici ignores the signal of a request until it is connected.
    const onAbort = (): void => end(line)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const answer = await line.client.request({ ...request, method: 'GET' })
      // Without a listener, the failure of an unread body would end the process.
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
 * Bytes in the same chunk as the end of a response are parsed as another response: undici closes the connection if they
 * are malformed or unexpected. A host that closes its connection is not meant.
 */
function hasSurplus({ errored, readableEnded }: Socket): boolean {
  return errored instanceof errors.HTTPParserError || (errored instanceof errors.SocketError && !readableEnded)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('Not connected', { cause: error })
}

/**
 * More than undici's limit for headers, and than a socket reads ahead into a body. undici's limit ignores the status
 * line and informational responses, which can be endless as well.
 */
const MAX_READ_BYTES = 262_144

/**
 * Destroys the socket, with a RemoteError, if the head of the next response is late or endless. undici's timers are
 * precise to a second, and restart with every informational response.
 *
 * @returns To be called when the head has arrived, or is not needed any more.
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
