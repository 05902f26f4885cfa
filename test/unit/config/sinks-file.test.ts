import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { parseSinks } from '../../../src/config/sinks-file.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const sink = (lines: string) => `sinks:\n  indexer:\n    ${lines.replaceAll('; ', '\n    ')}\n`
const WHOLE = sink('url: https://indexer.example/events; secret: ${INDEXER_SECRET}')

test('A sink has a name, a URL, and one secret or two', () => {
  const [one] = parseSinks(WHOLE, { INDEXER_SECRET: SECRET })
  assert.ok(one?.kind === 'webhook')
  assert.deepEqual([one.name, one.url, one.secrets.length], ['indexer', 'https://indexer.example/events', 1])
  const [two] = parseSinks(WHOLE, { INDEXER_SECRET: ` ${SECRET}  ${SECRET}x2Y ` })
  assert.ok(two?.kind === 'webhook')
  assert.equal(two.secrets.length, 2)
  assert.deepEqual(parseSinks('sinks: {}', {}), [])
})

const BROKER = 'kind: amqp; url: amqps://broker.example/images; user: darkroom; password: $PASSWORD; routingKey: images'

test('A sink of kind amqp has a URL, a user, a password, and an exchange or a queue', () => {
  const read = (more: string) => parseSinks(sink(BROKER + more), { PASSWORD: 'with space' })
  const given = { kind: 'amqp', name: 'indexer', url: 'amqps://broker.example/images', user: 'darkroom' } as const
  const queue = { ...given, password: 'with space', exchange: '', routingKey: 'images' }
  assert.deepEqual(read(''), [queue])
  assert.deepEqual(read('; exchange: events'), [{ ...queue, exchange: 'events' }])
})

const FASTLY = 'kind: fastly; service: SU1Z0isx; token: $TOKEN'
const CLOUDFLARE = 'kind: cloudflare; zone: 023e105f4ecef8ad9ca31a8372d0c353; token: $TOKEN'

test('A CDN has an API, a service or zone, and a token, and receives deletions and purges', () => {
  const common = { name: 'indexer', token: 'MfKQ', isCdn: true, types: ['image.deleted', 'image.purged'] } as const
  assert.deepEqual(parseSinks(sink(FASTLY), { TOKEN: 'MfKQ' }), [
    { ...common, kind: 'fastly', url: 'https://api.fastly.com', service: 'SU1Z0isx' },
  ])
  assert.deepEqual(parseSinks(sink(`${CLOUDFLARE}; url: http://127.0.0.1:1/`), { TOKEN: 'MfKQ' }), [
    { ...common, kind: 'cloudflare', url: 'http://127.0.0.1:1', zone: '023e105f4ecef8ad9ca31a8372d0c353' },
  ])
})

test('A webhook may receive some types of events only', () => {
  const [one] = parseSinks(sink('url: https://a.example; secret: $S; types: [image.purged]'), { S: SECRET })
  assert.deepEqual(one?.types, ['image.purged'])
})

const MISTAKES = {
  [sink(FASTLY.replace('$TOKEN', '$NOTHING'))]: /indexer.token: the environment variable NOTHING is not set/,
  [sink(CLOUDFLARE.replace('023e', 'MfKQ'))]: /indexer.zone: should be the id of the zone/,
  [sink(`${FASTLY}; url: https://me:MfKQ@a.example`)]: /indexer.url: should be without user name and password/,
  [sink('url: https://a.example; secret: $S; types: [image.purge]')]:
    /types.0: should be a list of image.stored, .*image.purged/,
  [sink('kind: kafka; url: https://a.example; secret: $S')]:
    /indexer\S*: should be webhook, amqp, fastly or cloudflare/,
  [sink(BROKER.replace('$PASSWORD', '$NOTHING'))]: /indexer.password: the environment variable NOTHING is not set/,
  [sink(BROKER.replace('$PASSWORD', 'MfKQ'))]:
    /indexer.password: should name an environment variable, such as \$BROKER/,
  [sink(BROKER.replace('broker.', 'me:MfKQ@broker.'))]: /indexer.url: should be without user name and password/,
  [sink(BROKER.replace('amqps:', 'https:'))]: /indexer.url: should be a URL such as amqps:/,
  [sink(BROKER.replace('; routingKey: images', ''))]: /indexer.routingKey: should be a routing key/,
  'sinks: [': /^SINKS_FILE: /,
  'sinks: 3': /SINKS_FILE.sinks: should be a map from names to sinks/,
  'other: {}': /SINKS_FILE/,
  [sink('url: ftp://a.example; secret: $S')]: /sinks.indexer.url: should be a URL such as https:/,
  [sink('url: https://user:secret@a.example; secret: $S')]: /should be without user name and password/,
  [sink(`url: https://a.example; secret: ${SECRET}`)]: /indexer.secret: should name an environment variable/,
  [sink('url: https://a.example; secret: $NOTHING')]: /the environment variable NOTHING is not set/,
  [sink('url: https://a.example; secret: $SHORT')]: /SHORT should be whsec_ and the base64 of at least 24 bytes/,
  [sink('url: https://a.example; secret: $S; retries: 3')]: /retries/,
  'sinks:\n  A_B:\n    url: https://a.example\n    secret: $S\n': /A_B: a name should have 1 to 63 lower-case/,
} as const
for (const [text, message] of Object.entries(MISTAKES)) {
  test(`${JSON.stringify(text)} is refused with the reason, without the secret`, () => {
    assert.throws(
      () => parseSinks(text, { S: SECRET, SHORT: 'whsec_c2hvcnQ=' }),
      (error: Error) => message.test(error.message) && !/MfKQ|c2hvcnQ/.test(error.message),
    )
  })
}

test('The example for CDNs is a valid file', async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../../examples/cdn/sinks.yml'), 'utf8')
  const sinks = parseSinks(text, { FASTLY_TOKEN: 'MfKQ', CLOUDFLARE_TOKEN: 'MfKQ', PURGER_SECRET: SECRET })
  assert.deepEqual(
    sinks.map(({ kind }) => kind),
    ['fastly', 'cloudflare', 'webhook'],
  )
})
