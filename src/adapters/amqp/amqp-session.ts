import { isIP, type LookupFunction } from 'node:net'
import { type ChannelModel, type ConfirmChannel, connect, type Message } from 'amqplib'
import type { CloudEvent } from '../../domain/info/image-event.ts'
import type { Sink } from '../../service/ports/sink.ts'
import { brokerFailed, connectFailed } from './broker-error.ts'

/** An exchange of a broker that speaks AMQP 0-9-1. */
export interface AmqpSink extends Sink {
  /** Without user name and password. The path is the virtual host, percent-encoded. */
  readonly url: string
  readonly user: string
  readonly password: string
  /** Empty: the default exchange, whose routing keys are the names of queues. */
  readonly exchange: string
  /** `{type}` stands for the type of the event. */
  readonly routingKey: string
}

/** A connection with one channel. */
export interface AmqpSession {
  /** False after any failure of the connection or the channel. */
  readonly isOpen: boolean
  /** The broker's reason, while it accepts no messages. */
  readonly blockedBy: string | undefined
  /**
   * Resolves when the broker is responsible for the message. A message that waits for that already is not sent again.
   * @throws RemoteError if it is returned or refused, or the connection ends.
   */
  publish(event: CloudEvent): Promise<void>
  /** @throws RemoteError if the exchange, or the queue of the default exchange, does not exist. */
  checkTarget(): Promise<void>
  close(): Promise<void>
}

/** Of TCP, TLS and the login, each. */
const CONNECT_TIMEOUT_MS = 5000
/** A broker that is silent for twice this time has failed. */
const HEARTBEAT_SECONDS = 10
const CLOSE_TIMEOUT_MS = 1000

/** @param addresses Of the host, checked. @throws RemoteError */
export async function openAmqpSession(sink: AmqpSink, addresses: readonly string[]): Promise<AmqpSession> {
  const { connection, channel } = await openChannel(sink, addresses)
  const state = { isOpen: true, blockedBy: '', failure: '' }
  const inFlight = new Map<string, Promise<void>>()
  const returned = new Set<string>()
  const end = (error?: Error): void => {
    if (state.failure === '' && error !== undefined) state.failure = `: ${error.message}`
    if (state.isOpen) void close()
  }
  connection.on('error', end).on('close', end)
  connection.on('blocked', (reason) => (state.blockedBy = reason)).on('unblocked', () => (state.blockedBy = ''))
  channel.on('error', end)
  // Before the listener of amqplib that fails the unconfirmed messages.
  channel.prependListener('close', () => end())
  // It comes before the confirmation.
  channel.on('return', ({ properties }: Message) => returned.add(String(properties.messageId)))

  function close(): Promise<void> {
    state.isOpen = false
    return closeConnection(connection)
  }

  function failureOf(error: unknown): Error {
    return state.isOpen
      ? brokerFailed('refused a message (nack): the queue may be full', error)
      : brokerFailed(`closed the connection before it had confirmed all messages${state.failure}`, error)
  }

  function send(event: CloudEvent): Promise<void> {
    const routingKey = routingKeyOf(sink, event)
    return new Promise((resolve, reject) => {
      const settle = (error: unknown): void => {
        inFlight.delete(event.id)
        const isReturned = returned.delete(event.id)
        if (error !== null) reject(failureOf(error))
        else if (isReturned) reject(unroutable(sink, routingKey))
        else resolve()
      }
      try {
        channel.publish(sink.exchange, routingKey, Buffer.from(JSON.stringify(event)), propertiesOf(event), settle)
      } catch (error) {
        settle(error)
      }
    })
  }

  return {
    get isOpen() {
      return state.isOpen
    },
    get blockedBy() {
      return state.blockedBy === '' ? undefined : state.blockedBy
    },
    publish(event) {
      const known = inFlight.get(event.id)
      if (known) return known
      const sent = send(event)
      inFlight.set(event.id, sent)
      // Its caller may have given up.
      sent.catch(() => {})
      return sent
    },
    async checkTarget() {
      const { exchange, routingKey } = sink
      try {
        if (exchange !== '') await channel.checkExchange(exchange)
        else if (!routingKey.includes(TYPE)) await channel.checkQueue(routingKey)
      } catch (error) {
        throw brokerFailed(`has no such target: ${error instanceof Error ? error.message : String(error)}`, error)
      }
    },
    close,
  }
}

async function openChannel(
  { name, url, user, password }: AmqpSink,
  addresses: readonly string[],
): Promise<{ readonly connection: ChannelModel; readonly channel: ConfirmChannel }> {
  const { protocol, hostname, port, pathname } = new URL(url)
  try {
    const connection = await connect(
      {
        protocol: protocol.slice(0, -1),
        hostname: hostname.replaceAll(/^\[|\]$/g, ''),
        ...(port !== '' && { port: Number(port) }),
        username: user,
        password,
        vhost: pathname.slice(1),
        heartbeat: HEARTBEAT_SECONDS,
      },
      {
        lookup: lookupOf(addresses),
        timeout: CONNECT_TIMEOUT_MS,
        noDelay: true,
        clientProperties: { connection_name: `Darkroom: ${name}` },
      },
    )
    // Without a listener an error would end the process.
    connection.on('error', () => {})
    return { connection, channel: await connection.createConfirmChannel() }
  } catch (error) {
    throw connectFailed(error)
  }
}

/** Connects to the addresses that were checked, without another lookup. */
function lookupOf(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_hostname, { all }, done) => {
    if (all) done(null, found)
    else done(null, found[0]?.address ?? '', found[0]?.family)
  }
}

const TYPE = '{type}'

function routingKeyOf({ routingKey }: AmqpSink, { type }: CloudEvent): string {
  return routingKey.replaceAll(TYPE, type)
}

function propertiesOf({ id, type, time }: CloudEvent) {
  return {
    mandatory: true,
    persistent: true,
    messageId: id,
    type,
    timestamp: Math.floor(Date.parse(time) / 1000),
    contentType: 'application/cloudevents+json',
    contentEncoding: 'utf-8',
    appId: 'darkroom',
  }
}

function unroutable({ exchange }: AmqpSink, routingKey: string): Error {
  return brokerFailed(
    exchange === ''
      ? `returned a message: there is no queue "${routingKey}"`
      : `returned a message: no queue is bound to the exchange "${exchange}" for the routing key "${routingKey}"`,
  )
}

/** A broker that does not answer ends the connection by the heartbeat. */
async function closeConnection(connection: ChannelModel): Promise<void> {
  const closed = connection.close().catch(() => {})
  const { promise: tooLate, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS)
  await Promise.race([closed, tooLate])
  clearTimeout(timer)
}
