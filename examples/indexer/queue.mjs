import { connect } from 'amqplib'

const PREFETCH = 100

/**
 * Takes events from a queue of a broker that speaks AMQP 0-9-1. A message is acknowledged after its transaction; a broker that
 * is lost meanwhile delivers it again, as a duplicate.
 */
export async function consumeQueue(darkroom, index, { url, queue, signal }) {
  await darkroom.repeat(async () => {
    const connection = await connect(url)
    const { promise: lost, resolve, reject } = Promise.withResolvers()
    connection.on('error', reject)
    connection.on('close', () => reject(new Error('The connection to the broker was closed')))
    signal.addEventListener('abort', resolve, { once: true })
    try {
      const channel = await connection.createChannel()
      channel.on('error', reject)
      await channel.assertQueue(queue, { durable: true })
      await channel.prefetch(PREFETCH)
      await channel.consume(queue, (message) => {
        try {
          // The broker has cancelled the consumer.
          if (message === null) throw new Error(`The queue ${queue} was deleted`)
          index.apply([JSON.parse(message.content.toString())])
          channel.ack(message)
        } catch (error) {
          reject(error)
        }
      })
      await lost
    } finally {
      signal.removeEventListener('abort', resolve)
      await connection.close().catch(() => {})
    }
  })
}
