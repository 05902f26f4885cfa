import type { CloudEvent } from '../../domain/info/image-event.ts'
import { RemoteError } from '../../errors.ts'
import type { SinkSender } from '../../service/ports/sink.ts'
import { type AmqpSession, type AmqpSink, openAmqpSession } from './amqp-session.ts'
import { brokerFailed } from './broker-error.ts'

export interface AmqpSenderSettings {
  /** Looks up and checks the host of a URL, before each connection. */
  readonly addresses: (url: string, signal: AbortSignal) => Promise<readonly string[]>
}

export interface AmqpSender extends SinkSender<AmqpSink> {
  /** Logs in and looks for the exchange. @throws RequestError, RemoteError */
  probe(sink: AmqpSink, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Messages of a sink that the broker has not confirmed. */
const MAX_UNCONFIRMED = 100

interface Delivery {
  readonly messageId: string
  /** Ids of its events that the broker has confirmed, in earlier attempts too. */
  readonly confirmed: Set<string>
}

/**
 * Publishes events, each as a message of its own. A connection is kept for the next ones. An attempt that fails does not
 * repeat what the broker has confirmed.
 */
export function createAmqpSender({ addresses }: AmqpSenderSettings): AmqpSender {
  const sessions = new Map<string, Promise<AmqpSession>>()
  const deliveries = new Map<string, Delivery>()

  async function open(sink: AmqpSink, signal: AbortSignal): Promise<AmqpSession> {
    return await openAmqpSession(sink, await addresses(sink.url, signal))
  }

  async function sessionOf(sink: AmqpSink, signal: AbortSignal): Promise<AmqpSession> {
    const known = await sessions.get(sink.name)?.catch(() => undefined)
    if (known?.isOpen) return known
    const opened = open(sink, signal)
    sessions.set(sink.name, opened)
    return await unlessAborted(opened, signal)
  }

  function deliveryOf(sink: AmqpSink, messageId: string): Delivery {
    const known = deliveries.get(sink.name)
    if (known?.messageId === messageId) return known
    const delivery = { messageId, confirmed: new Set<string>() }
    deliveries.set(sink.name, delivery)
    return delivery
  }

  return {
    async send(sink, { id, events }, signal) {
      const session = await sessionOf(sink, signal)
      const { confirmed } = deliveryOf(sink, id)
      const waiting = events.filter((event) => !confirmed.has(event.id))
      try {
        await unlessAborted(publishAll(session, { waiting, confirmed }, signal), signal)
      } catch (error) {
        const { blockedBy } = session
        if (blockedBy === undefined || !(error instanceof RemoteError)) throw error
        throw brokerFailed(`accepts no messages for now (connection.blocked: ${blockedBy})`, error)
      }
      deliveries.delete(sink.name)
      return undefined
    },
    async probe(sink, signal) {
      const session = await open(sink, signal)
      try {
        await unlessAborted(session.checkTarget(), signal)
      } finally {
        await session.close()
      }
    },
    async close() {
      for (const session of sessions.values()) await session.then((opened) => opened.close()).catch(() => {})
    },
  }
}

interface Publication {
  readonly waiting: readonly CloudEvent[]
  readonly confirmed: Set<string>
}

/** The first failure ends it, but not the messages that wait for their confirmation. */
async function publishAll(
  session: AmqpSession,
  { waiting, confirmed }: Publication,
  signal: AbortSignal,
): Promise<void> {
  const events = waiting.values()
  let hasFailed = false
  const work = async (): Promise<void> => {
    for (const event of events) {
      if (hasFailed || signal.aborted) return
      try {
        await session.publish(event)
      } catch (error) {
        hasFailed = true
        throw error
      }
      confirmed.add(event.id)
    }
  }
  await Promise.all(Array.from({ length: Math.min(MAX_UNCONFIRMED, waiting.length) }, work))
}

/** @throws the signal's reason when it aborts. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
    aborted.catch(() => {})
    work.catch(() => {})
  }
}
