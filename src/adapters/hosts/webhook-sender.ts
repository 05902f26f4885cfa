import { isIP } from 'node:net'
import { Client } from 'undici'
import { type AddressBlock, isRemoteAddressAllowed } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import type { SinkSender } from '../../service/ports/sink.ts'
import { createRemoteDns, createRemoteSocket, remoteFailed } from './remote-socket.ts'

export interface WebhookSenderSettings {
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly dnsServers: readonly string[]
}

const CONNECT_TIMEOUT_MS = 5000
const DNS_TIMEOUT_MS = 5000
/** The body of a response is not needed. */
const MAX_RESPONSE_BYTES = 65_536

export interface WebhookSender extends SinkSender {
  /**
   * Looks up the host of the URL, as before each delivery.
   * @throws RequestError `remote_not_allowed`; RemoteError `remote_failed` if it has no address.
   */
  check(url: string, signal: AbortSignal): Promise<void>
}

/** Posts to webhooks. The address is checked before each connection, which goes to the checked address. */
export function createWebhookSender({ allowedAddresses, dnsServers }: WebhookSenderSettings): WebhookSender {
  const dns = createRemoteDns({ servers: dnsServers, timeoutMs: DNS_TIMEOUT_MS })
  const openSocket = createRemoteSocket({ dns, allowedAddresses, connectTimeoutMs: CONNECT_TIMEOUT_MS })

  return {
    async check(url, signal) {
      const hostname = new URL(url).hostname.replaceAll(/^\[|\]$/g, '')
      const addresses = isIP(hostname) === 0 ? await dns.resolve(hostname, signal) : [hostname]
      if (addresses.every((address) => isRemoteAddressAllowed(address, allowedAddresses))) return
      throw new RequestError('remote_not_allowed', 'The address of this host is not public (SINK_ALLOW_ADDRESSES)')
    },

    async send({ url }, { headers, body }, signal) {
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
        const answer = await client.request({ method: 'POST', path: pathname + search, headers, body })
        answer.body.on('error', () => {})
        await answer.body.dump()
        const retryAfterSeconds = Number(answer.headers['retry-after'])
        return { status: answer.statusCode, ...(retryAfterSeconds > 0 && { retryAfterSeconds }) }
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
    },
  }
}
