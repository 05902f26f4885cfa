import type { IncomingMessage } from 'node:http'
import { addAbortSignal } from 'node:stream'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { RequestError } from '../../errors.ts'
import { type BodyError, pacedBody } from './request-body.ts'

export interface SmallBody {
  readonly maxBytes: number
  /** Code of the error for a body that is larger or incomplete. */
  readonly onBreak: BodyError
}

/**
 * Reads a small body as text.
 *
 * @param signal Aborts reading, with its reason.
 * @throws RequestError with the code `onBreak`, or `client_too_slow`.
 */
export async function readSmallBody(
  request: IncomingMessage,
  { maxBytes, onBreak }: SmallBody,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted()
  const body: AsyncIterable<Buffer> = addAbortSignal(signal, pacedBody(request, onBreak))
  const chunks: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const chunk of body) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) {
        throw new RequestError(onBreak, `The request body exceeds the limit of ${formatByteAmount(maxBytes)}`)
      }
      chunks.push(chunk)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
  return Buffer.concat(chunks).toString()
}
