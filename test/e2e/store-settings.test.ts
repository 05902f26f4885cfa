import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask } from '../../tools/requests/ask.ts'
import { newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const TLS_ADVICE = (setting: string) =>
  `The TLS connection to the object store failed: if it uses plain HTTP, ${setting} should start with http:// instead of https://`

// The AWS SDK asks for the machine's role twice, a second each; what takes longer than four is told as a silent store.
test('A store without credentials is told as that, with the settings, and soon', async (t) => {
  const { env } = await newStore()
  const node = await startNodeFor(t, { env: { ...env, ...(await withoutCredentials(t)) }, unready: true })
  const advice =
    'No credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or assign a role to this machine'
  assert.ok((await reasonsOf(node.url)).includes(advice))
})

test('A store in plain HTTP that is addressed with https is told as that, with the setting', async (t) => {
  const { env, endpoint } = await newStore()
  const S3_ENDPOINT = endpoint.replace('http:', 'https:')
  const node = await startNodeFor(t, { env: { ...env, S3_ENDPOINT }, unready: true })
  for (const _ of Array.from({ length: 8 })) {
    assert.ok((await reasonsOf(node.url)).includes(TLS_ADVICE('S3_ENDPOINT')))
  }
})

test('The same of a bucket names its settings in BUCKETS_FILE', async (t) => {
  const { endpoint } = await newStore()
  const file = join(await temporaryFolder(t), 'buckets.yaml')
  const addresses = { plain: endpoint.replace('http:', 'https:'), poor: endpoint }
  const lines = Object.entries(addresses).map(([alias, url]) => `  ${alias}: { endpoint: "${url}" }\n`)
  lines.push(`  open: { endpoint: "${addresses.plain}", anonymous: true }\n`)
  await writeFile(file, `buckets:\n${lines.join('')}`)
  const node = await startNodeFor(t, { env: { BUCKETS_FILE: file, ...(await withoutCredentials(t)) } })
  const poor = await ask(`${node.url}/s3/poor/a.jpg/-/40w`)
  assert.equal(poor.status, 503)
  assert.match(
    poor.body.toString(),
    /No credentials for the object store: set accessKeyId and secretAccessKey \(or anonymous/,
  )
  const open = await ask(`${node.url}/s3/open/a.jpg/-/40w`)
  assert.equal(open.status, 503)
  assert.ok(open.body.toString().includes(TLS_ADVICE('its endpoint in BUCKETS_FILE')))
})

/** An environment in which the AWS SDK finds none, and asks for the machine's role in vain: nothing answers there. */
async function withoutCredentials(t: TestContext): Promise<Readonly<Record<string, string>>> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    AWS_ACCESS_KEY_ID: '',
    AWS_SECRET_ACCESS_KEY: '',
    AWS_PROFILE: '',
    AWS_EC2_METADATA_DISABLED: '',
    AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${address.port}`,
    HOME: await temporaryFolder(t),
  }
}

async function reasonsOf(url: string): Promise<string> {
  const { status, body } = await ask(`${url}/readyz`)
  assert.equal(status, 503)
  return body.toString()
}
