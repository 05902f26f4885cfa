import { Client } from 'undici'
import { webhookHeaders } from '../../domain/info/webhook.ts'
import type { AddressBlock } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import type { Sink, SinkSender } from '../../service/ports/sink.ts'
import { createRemoteDns, createRemoteSocket, remoteFailed } from './remote-socket.ts'

/** A webhook that receives events. */
export interface WebhookSink extends Sink {
  readonly url: string
  readonly secrets: readonly Buffer[]
}

export interface WebhookSenderSettings {
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly dnsServers: readonly string[]
  /** Milliseconds since 1970. */
  readonly now: () => number
}

const CONNECT_TIMEOUT_MS = 5000
const DNS_TIMEOUT_MS = 5000
/** The body of a response is not needed. */
const MAX_RESPONSE_BYTES = 65_536

export type WebhookSender = SinkSender<WebhookSink>

/** Posts to webhooks. Redirects are not followed. The address is checked before each connection, which goes to the checked address. */
export function createWebhookSender({ allowedAddresses, dnsServers, now }: WebhookSenderSettings): WebhookSender {
  const dns = createRemoteDns({ servers: dnsServers, timeoutMs: DNS_TIMEOUT_MS })
  const openSocket = createRemoteSocket({ dns, allowedAddresses, connectTimeoutMs: CONNECT_TIMEOUT_MS })

  return {
    async send({ url, secrets }, message, signal) {
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
      const headers = webhookHeaders(message, secrets, Math.floor(now() / 1000))
      // undici ignores the signal of a request until it is connected.
      const onAbort = (): void => void client.destroy()
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        const answer = await client.request({ method: 'POST', path: pathname + search, headers, body: message.body })
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
    },
  }
}
