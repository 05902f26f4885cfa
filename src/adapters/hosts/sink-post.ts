import { Client } from 'undici'
import type { AddressBlock } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import type { SinkRefusal } from '../../service/ports/sink.ts'
import { createRemoteDns, createRemoteSocket, remoteFailed } from './remote-socket.ts'

export interface SinkPostSettings {
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly dnsServers: readonly string[]
}

export interface PostedRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Posts to a sink. Redirects are not followed. The address is checked before each connection, which goes to the checked address.
 *
 * @returns undefined for a status of 2xx.
 * @throws RequestError `remote_not_allowed` for an address that is not allowed; the signal's reason; errors of the connection.
 */
export type SinkPost = (url: string, request: PostedRequest, signal: AbortSignal) => Promise<SinkRefusal | undefined>

const CONNECT_TIMEOUT_MS = 5000
const DNS_TIMEOUT_MS = 5000
/** The body of a response is not needed. */
const MAX_RESPONSE_BYTES = 65_536

export function createSinkPost({ allowedAddresses, dnsServers }: SinkPostSettings): SinkPost {
  const dns = createRemoteDns({ servers: dnsServers, timeoutMs: DNS_TIMEOUT_MS })
  const openSocket = createRemoteSocket({ dns, allowedAddresses, connectTimeoutMs: CONNECT_TIMEOUT_MS })

  return async (url, request, signal) => {
    const { origin, pathname, search } = new URL(url)
    const client = new Client(origin, {
      allowH2: false,
      maxResponseSize: MAX_RESPONSE_BYTES,
      connect({ hostname, protocol, port }, callback) {
        const secure = protocol === 'https:'
        openSocket({ hostname, port: Number(port) || (secure ? 443 : 80), secure }, signal).then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(error instanceof Error ? error : remoteFailed('did not connect', error), null),
        )
      },
    })
    // undici ignores the signal of a request until it is connected.
    const onAbort = (): void => void client.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const answer = await client.request({ method: 'POST', path: pathname + search, ...request })
      answer.body.on('error', () => {})
      await answer.body.dump()
      const { statusCode: status } = answer
      if (status >= 200 && status < 300) return undefined
      const retryAfterSeconds = Number(answer.headers['retry-after'])
      return { status, ...(retryAfterSeconds > 0 && { retryAfterSeconds }) }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RequestError) {
        throw new RequestError('remote_not_allowed', 'has an address that is not public (SINK_ALLOW_ADDRESSES)', {
          cause: error.cause,
        })
      }
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      await client.destroy()
    }
  }
}
