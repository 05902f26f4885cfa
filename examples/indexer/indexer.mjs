// A search page over the images of Darkroom. It receives their events, keeps an index in SQLite, and serves it. See README.md.
import { createDarkroom } from './darkroom.mjs'
import { followFeed } from './feed.mjs'
import { openIndex } from './image-index.mjs'
import { listAll, readDetails } from './images.mjs'
import { consumeQueue } from './queue.mjs'
import { serve } from './server.mjs'

const {
  DARKROOM_URL = 'http://127.0.0.1:8080',
  /** Where browsers find the pictures. */
  DARKROOM_PUBLIC_URL = DARKROOM_URL,
  DARKROOM_TOKEN,
  EVENTS = 'feed',
  WEBHOOK_SECRET,
  AMQP_URL = 'amqp://127.0.0.1',
  AMQP_QUEUE = 'darkroom',
  DATABASE = 'index.sqlite',
  HOST = '127.0.0.1',
  PORT = '3000',
} = process.env

if (!DARKROOM_TOKEN) fail('DARKROOM_TOKEN is not set: it should be one of the UPLOAD_TOKENS of Darkroom')
if (!['feed', 'webhook', 'amqp'].includes(EVENTS)) fail(`EVENTS: "${EVENTS}" should be feed, webhook or amqp`)
if (EVENTS === 'webhook' && !WEBHOOK_SECRET) fail('EVENTS=webhook requires WEBHOOK_SECRET, the secret of SINKS_FILE')

const stop = new AbortController()
const index = openIndex(DATABASE)
const darkroom = createDarkroom({ url: DARKROOM_URL, token: DARKROOM_TOKEN, signal: stop.signal })
const webhookSecrets = EVENTS === 'webhook' ? WEBHOOK_SECRET.split(' ') : []
const server = await serve({ index, publicUrl: DARKROOM_PUBLIC_URL, webhookSecrets, host: HOST, port: Number(PORT) })
console.log(`Search at http://${HOST}:${server.address().port}/`)

for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())
const tasks = [listAll(darkroom, index), readDetails(darkroom, index)]
if (EVENTS === 'feed') tasks.push(followFeed(darkroom, index))
if (EVENTS === 'amqp') tasks.push(consumeQueue(darkroom, index, { url: AMQP_URL, queue: AMQP_QUEUE, signal: stop.signal }))
await Promise.all(tasks)
server.close()
server.closeAllConnections()
index.close()

function fail(message) {
  console.error(`indexer: ${message}`)
  process.exit(2)
}
