import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { freeBuffer } from '../calls/free-buffer.ts'
import type { S3Agents } from './s3-client.ts'
import { percentEncode, type S3Request } from './s3-request.ts'

export interface ExchangeSettings {
  readonly agents: S3Agents
  readonly connectTimeoutMs: number
}

/**
 * Sends a request without a body on the connections of the SDK.
 * @param signal Ends the exchange, until the body of the response is complete.
 * @returns The head, with the body to be read. A body that is not read to its end must be destroyed.
 */
export function exchange(
  { protocol, hostname, port, method, path, query, headers }: S3Request,
  { agents, connectTimeoutMs }: ExchangeSettings,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const isTls = protocol === 'https:'
  const options = {
    // A literal IPv6 address.
    host: hostname.replaceAll(/^\[|\]$/g, ''),
    port,
    method,
    path: path + queryText(query),
    headers,
    agent: isTls ? agents.https : agents.http,
    signal,
  }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = isTls ? requestHttps(options, resolve) : requestHttp(options, resolve)
  // The listener stays: an error after the response would otherwise end the process.
  outgoing.on('error', reject)
  outgoing.once('socket', (socket) => {
    // Called after the parser, which has copied the body, and removed before the socket gets the parser of another request.
    socket.on('data', freeBuffer)
    outgoing.once('close', () => socket.off('data', freeBuffer))
    if (!socket.connecting) return
    const timer = setTimeout(() => outgoing.destroy(new ConnectTimeoutError()), connectTimeoutMs)
    const stop = (): void => clearTimeout(timer)
    socket.once('connect', stop)
    outgoing.once('close', stop)
  })
  outgoing.end()
  return promise
}

/** Has the code of a connection that the system gave up. */
class ConnectTimeoutError extends Error {
  readonly code = 'ETIMEDOUT'
  constructor() {
    super('No connection in time')
    this.name = new.target.name
  }
}

function queryText(query: S3Request['query'] = {}): string {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${percentEncode(name)}=${percentEncode(String(value ?? ''))}`,
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}
