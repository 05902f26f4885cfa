import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { type Colour, flatPicture } from '../../tools/pictures/flat-picture.ts'
import { post } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { newStore, startNodeFor, startSite, stopAfter, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

/** Half of it is added in a minute. */
const PER_MINUTE = 3
/** A bucket holds at least as many tokens: one request for an id. */
const AT_LEAST = 5
const REQUESTS = 40
const CLIENT = '203.0.113.7'
const OTHER = '203.0.113.8'
const AT_ONCE = 8
let numbers = 0
function unknownId(): string {
  numbers += 1
  return createHash('sha1').update(String(numbers)).digest('hex')
}
const unknownPicture = () => `/image/${unknownId()}/400w`

/** Two nodes of one store. The requests of the first to the store are counted. */
async function startNodes(t: TestContext) {
  const { env, endpoint, settings } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  stopAfter(t, proxy.stop)
  const site = await startRemoteSite(t)
  const file = join(await temporaryFolder(t), 'buckets.json')
  const { bucket, region } = settings
  const [accessKeyId, secretAccessKey] = ['$AWS_ACCESS_KEY_ID', '$AWS_SECRET_ACCESS_KEY']
  const photos = { bucket, endpoint: proxy.endpoint, region, accessKeyId, secretAccessKey }
  await writeFile(file, JSON.stringify({ buckets: { photos } }))
  const shared = { ...env, UPLOAD_TOKENS: TOKEN, ACCEL_PREFIX: '/_renditions/' }
  const counted = { ...site.env, ...shared, S3_ENDPOINT: proxy.endpoint, BUCKETS_FILE: file }
  const node = await startNodeFor(t, { env: { ...counted, NOT_FOUND_PER_MINUTE: String(PER_MINUTE) } })
  const other = await startNodeFor(t, { env: shared })
  /** Requests of a client, as nginx passes them on. */
  const ask = (path: string, client?: string, headers: Readonly<Record<string, string>> = {}) =>
    rawRequest(node.url, path, { headers: { ...headers, ...(client !== undefined && { 'X-Forwarded-For': client }) } })
  const askMany = async (client: string | undefined, paths: readonly string[]) => {
    const limit = pLimit(AT_ONCE)
    return await Promise.all(paths.map((path) => limit(() => ask(path, client))))
  }
  return { proxy, site, node, other, ask, askMany }
}

type Nodes = Awaited<ReturnType<typeof startNodes>>

async function spendBudget({ askMany }: Nodes, client: string, path = unknownPicture): Promise<void> {
  const answers = await askMany(client, Array.from({ length: REQUESTS }, path))
  assert.equal(answers.at(-1)?.status, 429)
}

async function uploadTo(node: { readonly url: string }, colour: Colour): Promise<string> {
  const { status, body } = await post(node.url, await flatPicture(colour, { width: 40, height: 30 }), TOKEN)
  assert.equal(status, 201)
  return String(jsonFields(body)['id'])
}

test('A client that requests unknown ids gets 404, then 429, and costs the store no more than its budget', async (t) => {
  const nodes = await startNodes(t)
  const [before, began] = [nodes.proxy.requests.length, performance.now()]
  const answers = await nodes.askMany(CLIENT, Array.from({ length: 200 }, unknownPicture))
  const found = answers.filter(({ status }) => status === 404)
  const refused = answers.filter(({ status }) => status === 429)
  assert.equal(found.length + refused.length, 200)
  assert.ok(found.length >= 1)
  for (const { headers, body } of refused) {
    assert.equal(jsonFields(body)['error'], 'too_many_requests')
    assert.match(String(headers['retry-after']), /^\d+$/)
    assert.equal(headers['cache-control'], 'no-store')
  }
  const asked = nodes.proxy.requests.slice(before).filter((line) => !/invalidations|list-type|\/nodes\//.test(line))
  const most = AT_LEAST + (PER_MINUTE / 2) * ((performance.now() - began) / 60_000)
  assert.ok(asked.length <= most, `${asked.length} requests to the store`)
  // Records and metadata of unknown ids count, too.
  for (const [index, path] of [`/images/${unknownId()}`, `/images/${unknownId()}/info`].entries()) {
    assert.equal((await nodes.ask(path, CLIENT)).status, 429)
    assert.equal((await nodes.ask(path, `203.0.113.${100 + index}`)).status, 404)
  }
})

test('Beyond its budget a client gets the pictures that the node knows, and others get all', async (t) => {
  const nodes = await startNodes(t)
  const { node, other, ask } = nodes
  const here = await uploadTo(node, 'red')
  assert.equal((await ask(`/image/${here}/20w`, OTHER)).status, 200)
  await spendBudget(nodes, CLIENT)
  const elsewhere = await uploadTo(other, 'green')
  for (const size of ['20w', '30w']) assert.equal((await ask(`/image/${here}/${size}`, CLIENT)).status, 200)
  assert.equal((await ask(`/image/${elsewhere}/20w`, CLIENT)).status, 429)
  assert.equal((await ask(`/image/${elsewhere}/20w`, CLIENT, { Authorization: `Bearer ${TOKEN}` })).status, 200)
  // The node knows it by now.
  assert.equal((await ask(`/image/${elsewhere}/30w`, CLIENT)).status, 200)
  const another = await uploadTo(other, 'blue')
  assert.equal((await ask(`/image/${another}/20w`, OTHER)).status, 200)
})

test('An upload to another node is 200 at once, however often its id was requested before', async (t) => {
  const { other, ask, askMany } = await startNodes(t)
  const bytes = await flatPicture('red', { width: 48, height: 36 })
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 40)
  const paths = [`/image/${id}/20w`, `/image/${id}/30w`, `/image/${id}/20w/x.jpg`]
  for (const { status } of await askMany(undefined, paths)) assert.equal(status, 404)
  const asking = askMany(undefined, [...paths, ...paths, ...paths])
  assert.equal((await post(other.url, bytes, TOKEN)).status, 201)
  for (const { status } of await askMany(undefined, paths)) assert.equal(status, 200)
  await asking
  assert.equal((await ask(`/images/${id}`)).status, 200)
})

test('IPv6 clients are limited by the first 64 bits, this machine is not, and other loopback addresses are', async (t) => {
  const nodes = await startNodes(t)
  await spendBudget(nodes, '2001:db8::1')
  assert.equal((await nodes.ask(unknownPicture(), '2001:db8::ffff:2')).status, 429)
  assert.equal((await nodes.ask(unknownPicture(), '2001:db8:0:1::1')).status, 404)
  await spendBudget(nodes, '127.0.0.2')
  for (const client of [undefined, '::1']) {
    const answers = await nodes.askMany(client, Array.from({ length: REQUESTS }, unknownPicture))
    assert.ok(answers.every(({ status }) => status === 404))
  }
})

test('Unknown keys of a bucket and unknown URLs count as well', async (t) => {
  const nodes = await startNodes(t)
  const { ask, site } = nodes
  site.pages.set('/known.png', { body: await flatPicture('red', { width: 40, height: 30 }) })
  const known = `/image?url=${encodeURIComponent(`${site.origin}/known.png`)}&size=20w`
  assert.equal((await ask(known, OTHER)).status, 200)
  const paths = {
    key: () => `/s3/photos/none-${unknownId()}.jpg/-/400w`,
    url: () => `/image?url=${encodeURIComponent(`${site.origin}/${unknownId()}.png`)}&size=400w`,
  }
  for (const [index, path] of Object.values(paths).entries()) {
    const client = `198.51.100.${index}`
    await spendBudget(nodes, client, path)
    for (const each of Object.values(paths)) assert.equal((await ask(each(), client)).status, 429)
    assert.equal((await ask(known, client)).status, 200)
    assert.equal((await ask(path(), `203.0.113.${100 + index}`)).status, 404)
  }
})

test('nginx rejects a client that goes on, and the node hears of it again some seconds later', async (t) => {
  const { url, node } = await startSite(t, { NOT_FOUND_PER_MINUTE: '12', UPLOAD_TOKENS: TOKEN })
  const id = await uploadTo(node, 'red')
  const ask = (path: string) => rawRequest(url, path, { from: '127.0.0.2' })
  const flag = join(node.cacheDir, 'renditions', '.not-found', '127.0.0.2')
  while (!existsSync(flag)) await ask(unknownPicture())
  const logged = (await node.log()).length
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(unknownPicture())))
  assert.ok(answers.every(({ status }) => status === 429))
  const passedOn = (await node.log()).length - logged
  assert.ok(passedOn < 40, `${passedOn} of 100 requests reached the node`)
  assert.equal((await ask(`/image/${id}/20w`)).status, 200)
  assert.equal((await rawRequest(url, unknownPicture(), { from: '127.0.0.3' })).status, 404)
  while (existsSync(flag)) await delay(100)
  assert.equal((await ask(unknownPicture())).status, 404)
})
