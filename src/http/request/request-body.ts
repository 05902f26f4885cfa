import type { IncomingMessage } from 'node:http'
import { type Readable, Transform } from 'node:stream'
import { RequestError } from '../../errors.ts'

/** No byte for this long ends the request. Less than nginx's `client_body_timeout`, after which nginx resets the connection. */
const STALL_SECONDS = 30
/** Minimum average rate from the beginning, applied after the grace period. */
const MIN_BYTES_PER_SECOND = 8 * 1024
const GRACE_SECONDS = 20
const CHECK_MS = 1000

/**
 * A request's body as a stream. It fails with `client_too_slow` if no byte arrives for 30 s, or if the average rate falls below
 * 8 KiB/s after 20 s: each connection holds a place, and a client could hold many.
 *
 * @param onBreak Code of the error if the client closes the connection before the end.
 */
export function pacedBody(request: IncomingMessage, onBreak: 'invalid_upload' | 'invalid_event'): Readable {
  const began = performance.now()
  let lastByte = began
  let receivedBytes = 0
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      lastByte = performance.now()
      receivedBytes += chunk.length
      done(null, chunk)
    },
  })
  const timer = setInterval(() => {
    const now = performance.now()
    // The client has sent everything, or a full buffer stops it: in both cases this node is the slow one.
    if (request.complete || body.writableNeedDrain) {
      lastByte = now
      return
    }
    const reason = slowness({ seconds: (now - began) / 1000, idleSeconds: (now - lastByte) / 1000, receivedBytes })
    if (reason !== undefined) body.destroy(new RequestError('client_too_slow', reason))
  }, CHECK_MS)
  body.once('close', () => clearInterval(timer))
  const onClose = (cause?: unknown): void => {
    // After a refusal nothing is piped into this stream any more, so nothing else would end it.
    if (body.writableEnded) return
    body.destroy(new RequestError(onBreak, 'The connection was closed before the body ended', { cause }))
  }
  request.on('error', onClose).once('close', onClose)
  // An error without a reader must not end the process.
  body.on('error', () => {})
  return request.pipe(body)
}

interface Progress {
  /** Since the beginning. */
  readonly seconds: number
  /** Since the last byte. */
  readonly idleSeconds: number
  readonly receivedBytes: number
}

function slowness({ seconds, idleSeconds, receivedBytes }: Progress): string | undefined {
  if (idleSeconds >= STALL_SECONDS) return `The request body stalled: no data arrived for ${STALL_SECONDS} seconds`
  if (seconds < GRACE_SECONDS || receivedBytes / seconds >= MIN_BYTES_PER_SECOND) return undefined
  return `The request body arrived too slowly: the minimum is ${MIN_BYTES_PER_SECOND / 1024} KiB per second on average`
}
