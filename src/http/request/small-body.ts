import type { IncomingMessage } from 'node:http'
import { addAbortSignal } from 'node:stream'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { RequestError } from '../../errors.ts'
import { pacedBody } from './request-body.ts'

/**
 * Reads a small body as text.
 *
 * @param signal Aborts reading, with its reason.
 * @throws RequestError `invalid_event` if it is larger or incomplete, `client_too_slow`.
 */
export async function readSmallBody(request: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const body: AsyncIterable<Buffer> = addAbortSignal(signal, pacedBody(request, 'invalid_event'))
  const chunks: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const chunk of body) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) throw tooLong(maxBytes)
      chunks.push(chunk)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
  return Buffer.concat(chunks).toString()
}

function tooLong(maxBytes: number): RequestError {
  return new RequestError('invalid_event', `The request body exceeds the limit of ${formatByteAmount(maxBytes)}`)
}
