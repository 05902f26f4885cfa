import type { IncomingMessage } from 'node:http'
import type { AskedRef, OriginalRef } from '../../domain/identity/original-ref.ts'
import { clientAddress, clientNetwork } from '../../domain/network/client-address.ts'
import type { AddressBlock } from '../../domain/network/ip-address.ts'
import type { Viewer } from '../../service/load/admission.ts'
import { memoize } from '../../service/tools/memoize.ts'

/** The address of a request's client: as the log has it, and as limits count it. */
export type ClientOf = (request: IncomingMessage) => string

/** The original, and the client of the request where that matters. */
export type AskedBy = (request: IncomingMessage, original: OriginalRef) => AskedRef

/** The request as one that waits for work: since now, for its client. */
export type ViewerOf = (request: IncomingMessage) => Viewer

const MEMORY_BYTES = 1024 * 1024

/** @param proxies Whose word on the client is taken. */
export function createClientOf(proxies: readonly AddressBlock[]): ClientOf {
  // The same few proxies and clients come again and again, and reading addresses costs microseconds.
  const read = memoize((text) => {
    const [peer = '', ...forwarded] = text.split(' ')
    return { address: clientAddress(peer, forwarded.join(' '), proxies) }
  }, MEMORY_BYTES)
  return ({ headers, socket }) => {
    const forwarded = proxies.length === 0 ? '' : String(headers['x-forwarded-for'] ?? '')
    return read(`${socket.remoteAddress ?? ''} ${forwarded}`).address
  }
}

export function createAskedBy(clientOf: ClientOf): AskedBy {
  return (request, original) =>
    original.kind === 'remote' ? { ...original, client: clientNetwork(clientOf(request)) } : original
}

export function createViewerOf(clientOf: ClientOf): ViewerOf {
  return (request) => ({ client: clientNetwork(clientOf(request)), since: performance.now() })
}
