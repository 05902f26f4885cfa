import type { Config } from '../config/env.ts'
import { ConfigError } from '../config/env.ts'
import type { SinkSettings } from '../config/sinks-file.ts'
import { RequestError, ServiceError } from '../errors.ts'
import type { EventFeed } from '../service/library/event-feed.ts'
import { createRelayLease } from '../service/library/relay-lease.ts'
import { createWebhookRelay, type WebhookRelay } from '../service/library/webhook-relay.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { SinkSender } from '../service/ports/sink.ts'
import type { ObjectStore } from '../service/ports/store.ts'

export interface RelayParts {
  readonly store: ObjectStore
  readonly feed: EventFeed
  readonly meter: Meter
  /** Whether this node accepts uploads. */
  readonly mayWrite: boolean
  /** No other process has it. */
  readonly node: string
}

const CHECK_TIMEOUT_MS = 10_000

/** @throws ConfigError for a sink at an address that is not allowed. */
export async function createRelay(
  config: Config,
  sinks: readonly SinkSettings[],
  { store, feed, meter, mayWrite, node }: RelayParts,
): Promise<WebhookRelay> {
  if (sinks.length > 0 && !mayWrite)
    throw new ConfigError('SINKS_FILE: requires UPLOAD_TOKENS, because a node that delivers events writes to the store')
  return createWebhookRelay({
    sinks,
    sender: sinks.length === 0 ? NO_SENDER : await openSender(config, sinks, meter),
    lease: createRelayLease({ store, node, now: () => performance.now() }),
    feed,
    store,
    meter,
    eventSource: `${config.PUBLIC_URL}/images`,
    now: Date.now,
    random: Math.random,
  })
}

const NO_SENDER: SinkSender = { send: () => Promise.reject(new Error('There are no sinks')) }

/** Imported only if used: loading undici takes time and memory. */
async function openSender(config: Config, sinks: readonly SinkSettings[], meter: Meter): Promise<SinkSender> {
  const { createWebhookSender } = await import('../adapters/hosts/webhook-sender.ts')
  const sender = createWebhookSender({
    allowedAddresses: config.SINK_ALLOW_ADDRESSES,
    dnsServers: config.REMOTE_DNS,
  })
  for (const { name, url } of sinks) {
    await sender.check(url, AbortSignal.timeout(CHECK_TIMEOUT_MS)).catch((error: unknown) => {
      if (error instanceof RequestError) throw new ConfigError(`SINKS_FILE.sinks.${name}.url: ${error.message}`)
      const reason = error instanceof ServiceError ? error.message : 'Its host cannot be looked up'
      // Deliveries look it up again.
      meter.trouble(`The sink "${name}" of SINKS_FILE cannot be reached now: ${reason}`, error)
    })
  }
  return sender
}
