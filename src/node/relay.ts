import type { AmqpSender } from '../adapters/amqp/amqp-sender.ts'
import type { CdnSender } from '../adapters/hosts/cdn-sender.ts'
import { createSinkAddresses, type SinkAddresses } from '../adapters/hosts/sink-addresses.ts'
import type { WebhookSender } from '../adapters/hosts/webhook-sender.ts'
import type { Config } from '../config/env.ts'
import { ConfigError } from '../config/env.ts'
import type { CdnSettings, SinkSettings } from '../config/sinks-file.ts'
import { RequestError, ServiceError } from '../errors.ts'
import type { EventFeed } from '../service/library/event-feed.ts'
import { createEventRelay, type EventRelay } from '../service/library/event-relay.ts'
import { createRelayLease } from '../service/library/relay-lease.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { Sink, SinkSender } from '../service/ports/sink.ts'
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
/** By then every node forgets what was deleted or purged, and has sent its last copy. */
const REPEAT_MS = 5000

/** @throws ConfigError for a sink at an address that is not allowed. */
export async function createRelay(
  config: Config,
  sinks: readonly SinkSettings[],
  { store, feed, meter, mayWrite, node }: RelayParts,
): Promise<EventRelay> {
  if (sinks.length > 0 && !mayWrite)
    throw new ConfigError('SINKS_FILE: requires UPLOAD_TOKENS, because a node that delivers events writes to the store')
  const sender = openSinks(config)
  await checkSinks(sender, sinks, meter)
  const relay = createEventRelay({
    sinks: withRepeats(sinks),
    sender,
    lease: createRelayLease({ store, node, now: () => performance.now() }),
    feed,
    store,
    meter,
    eventSource: `${config.PUBLIC_URL}/images`,
    now: Date.now,
    random: Math.random,
  })
  return {
    ...relay,
    get isBusy() {
      return relay.isBusy
    },
    get counters() {
      return relay.counters
    },
    async stop() {
      await relay.stop()
      await sender.close()
    },
  }
}

type Receiver = SinkSettings & Sink

/** CDNs are purged twice: before a node knows of the first purge, it may have answered the CDN once more. */
function withRepeats(sinks: readonly SinkSettings[]): readonly Receiver[] {
  const again = (sink: SinkSettings): Receiver => ({ ...sink, name: `${sink.name}.again`, delayMs: REPEAT_MS })
  return sinks.flatMap((sink): readonly Receiver[] => (isCdn(sink) ? [sink, again(sink)] : [sink]))
}

function isCdn(sink: SinkSettings): sink is CdnSettings {
  return sink.kind === 'fastly' || sink.kind === 'cloudflare'
}

/** Whether a sink has to know of objects that change in a bucket. */
export function purgesChanges(sinks: readonly SinkSettings[]): boolean {
  return sinks.some(({ types }) => types?.includes('image.purged') ?? false)
}

interface Sinks extends SinkSender<SinkSettings> {
  /**
   * Looks up the host of a sink, as before each delivery.
   * @throws RequestError `remote_not_allowed`; RemoteError if it has no address.
   */
  check(sink: SinkSettings, signal: AbortSignal): Promise<void>
  /** Also logs in at a broker, and looks for its exchange or queue. @throws as `check` */
  probe(sink: SinkSettings, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** The adapters of sinks, each imported when it is used first: they take time and memory. */
export function openSinks(config: Config): Sinks {
  const addresses = createSinkAddresses({
    allowedAddresses: config.SINK_ALLOW_ADDRESSES,
    dnsServers: config.REMOTE_DNS,
  })
  let webhooks: Promise<WebhookSender> | undefined
  let brokers: Promise<AmqpSender> | undefined
  let cdns: Promise<CdnSender> | undefined
  const cdnSender = async () => await (cdns ??= openCdns(config))
  const webhookSender = async () => await (webhooks ??= openWebhooks(config))
  const amqpSender = async () => await (brokers ??= openBrokers(addresses))
  return {
    check: async ({ url }, signal) => void (await addresses(url, signal)),
    async probe(sink, signal) {
      await addresses(sink.url, signal)
      if (sink.kind === 'amqp') await (await amqpSender()).probe(sink, signal)
    },
    async send(sink, message, signal) {
      if (isCdn(sink)) return await (await cdnSender()).send(sink, message, signal)
      if (sink.kind === 'amqp') return await (await amqpSender()).send(sink, message, signal)
      return await (await webhookSender()).send(sink, message, signal)
    },
    close: async () => await (await brokers)?.close(),
  }
}

async function openWebhooks(config: Config): Promise<WebhookSender> {
  const { createWebhookSender } = await import('../adapters/hosts/webhook-sender.ts')
  const { SINK_ALLOW_ADDRESSES: allowedAddresses, REMOTE_DNS: dnsServers } = config
  return createWebhookSender({ allowedAddresses, dnsServers, now: Date.now })
}

async function openCdns(config: Config): Promise<CdnSender> {
  const { createCdnSender } = await import('../adapters/hosts/cdn-sender.ts')
  const { SINK_ALLOW_ADDRESSES: allowedAddresses, REMOTE_DNS: dnsServers } = config
  return createCdnSender({ allowedAddresses, dnsServers })
}

async function openBrokers(addresses: SinkAddresses): Promise<AmqpSender> {
  const { createAmqpSender } = await import('../adapters/amqp/amqp-sender.ts')
  return createAmqpSender({ addresses })
}

/** @throws ConfigError for a sink at an address that is not allowed. */
async function checkSinks(sender: Sinks, sinks: readonly SinkSettings[], meter: Meter): Promise<void> {
  for (const sink of sinks) {
    await sender.check(sink, AbortSignal.timeout(CHECK_TIMEOUT_MS)).catch((error: unknown) => {
      if (error instanceof RequestError) throw new ConfigError(`SINKS_FILE.sinks.${sink.name}.url: ${error.message}`)
      const reason = error instanceof ServiceError ? error.message : 'Its host cannot be looked up'
      // Deliveries look it up again.
      meter.trouble(`The sink "${sink.name}" of SINKS_FILE cannot be reached now: ${reason}`, error)
    })
  }
}
