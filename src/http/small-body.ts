import type { IncomingMessage } from 'node:http'
import { RequestError } from '../errors.ts'

/**
 * A body that is small, as text.
 *
 * @param signal Ends the waiting, with its reason.
 * @throws RequestError `invalid_event` if it is larger or was broken off.
 */
export async function readSmallBody(request: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  let sizeBytes = 0
  const onData = (chunk: Buffer): void => {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) reject(new RequestError('invalid_event', `The body may have at most ${maxBytes} bytes`))
    else chunks.push(chunk)
  }
  const onEnd = (): void => resolve(Buffer.concat(chunks).toString())
  const onBreak = (cause?: unknown): void =>
    reject(new RequestError('invalid_event', 'The body was broken off', { cause }))
  const onAbort = (): void => reject(signal.reason)
  request.on('data', onData).once('end', onEnd).once('error', onBreak).once('close', onBreak)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await promise
  } finally {
    request.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak)
    signal.removeEventListener('abort', onAbort)
    // What still comes may fail as well, and nobody else listens.
    request.on('error', () => {})
  }
}
