import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { decoded } from '../../tools/pictures/picture.ts'
import { REGION } from '../../tools/s3/s3-server.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { awsCli } from '../support/aws-cli.ts'
import { type ComposeProject, createProject, untilOk } from '../support/compose-project.ts'

const ID = '82343c717326f81108374e694e36782edb04a441'
const PATH = `/image/${ID}/200w.webp`
/** What a deletion may take to reach everybody. */
const EVERYWHERE_MS = 2000

/** @returns the cache status that the response names. */
async function view(url: string): Promise<string> {
  const response = await fetch(`${url}${PATH}`)
  assert.equal(response.status, 200)
  const picture = await decoded(Buffer.from(await response.arrayBuffer()))
  assert.deepEqual(picture, { format: 'webp', width: 200, height: 150 })
  return /cache;desc="(?<status>\w+)"/.exec(response.headers.get('Server-Timing') ?? '')?.groups?.['status'] ?? ''
}

/** Repeats an upload after a 503, as docs/recipes/uploads.md says: the front avoids nodes for 3 s after they failed at their start. */
async function uploadStatus(url: string, token: string): Promise<number> {
  for (;;) {
    const { status, headers } = await upload(url, await fixture('mountains.jpg'), 'image/jpeg', token)
    if (status !== 503) return status
    await delay(Number(headers.get('Retry-After')) * 1000)
  }
}

async function firstImage(t: TestContext, project: ComposeProject): Promise<void> {
  const begun = performance.now()
  await project.compose('up', '--detach', '--scale', 'node=2')
  const [front] = project.frontUrls
  await untilOk(`${front}/readyz`)
  const token = await project.uploadToken()
  assert.ok((await project.compose('logs', 'secrets')).includes(`Upload token: ${token}`))
  assert.equal(await uploadStatus(front, 'another-token-for-tests'), 401)
  assert.equal(await uploadStatus(front, token), 201)
  assert.equal(await view(front), 'miss')
  t.diagnostic(
    `seconds from docker-compose up to the first thumbnail: ${((performance.now() - begun) / 1000).toFixed(1)}`,
  )
  assert.equal(await view(front), 'nginx')
}

async function listsTheUpload({ compose, s3Endpoint, consoleUrl }: ComposeProject): Promise<void> {
  const secretAccessKey = (await compose('exec', '-T', 'node', 'cat', '/secrets/node/s3-secret')).trim()
  const access = { endpoint: s3Endpoint, region: REGION, accessKeyId: 'darkroom', secretAccessKey }
  assert.match(await awsCli(access, ['s3', 'ls', '--recursive', 's3://darkroom']), new RegExp(`originals/\\S+/${ID}\n`))
  await assert.rejects(awsCli(access, ['s3', 'mb', 's3://another']), /AccessDenied/)
  assert.match(await (await fetch(consoleUrl)).text(), /<title>MinIO/i)
  await assert.rejects(compose('exec', '-T', 'node', 'cat', '/secrets/minio/root-password'))
}

/** Asks until the answer is 410. A request after the deletion has reached everybody must not be the first one with that answer. */
async function untilGone(url: string, deletedAt: number): Promise<void> {
  for (;;) {
    const askedAt = performance.now()
    const { status } = await fetch(`${url}${PATH}`)
    if (status === 410) return
    assert.ok(askedAt < deletedAt + EVERYWHERE_MS, `${url} still answers ${status}`)
  }
}

const Targets = z.object({ data: z.object({ activeTargets: z.array(z.object({ health: z.string() })) }) })
const Rules = z.object({
  data: z.object({ groups: z.array(z.object({ rules: z.array(z.object({ health: z.string() })) })) }),
})

async function scrapesNodesAndFronts({ compose, prometheusUrl }: ComposeProject): Promise<void> {
  await compose('--profile', 'monitoring', 'up', '--detach', '--no-deps', 'prometheus')
  await untilOk(`${prometheusUrl}/-/ready`)
  const healthOf = async () => {
    const { data } = Targets.parse(await (await fetch(`${prometheusUrl}/api/v1/targets`)).json())
    return data.activeTargets.map(({ health }) => health).join(' ')
  }
  for (let health = await healthOf(); health !== 'up up up up'; health = await healthOf())
    assert.doesNotMatch(health, /down/)
  const { groups } = Rules.parse(await (await fetch(`${prometheusUrl}/api/v1/rules`)).json()).data
  assert.ok(groups.flatMap(({ rules }) => rules).length >= 5)
}

test('"docker-compose up" on a fresh clone', { timeout: 420_000 }, async (t) => {
  const project = await createProject(t)
  const { compose, frontUrls } = project

  await t.test('serves uploads by two nodes, without any preparation', (context) => firstImage(context, project))

  await t.test('publishes MinIO: the AWS CLI of the host lists the upload', () => listsTheUpload(project))

  await t.test('passes the checks of the doctor in a container', async () => {
    const said = await compose('exec', '-T', 'node', 'packaging/docker/start.sh', 'run', 'scripts/doctor')
    assert.match(said, /^doctor: 0 failures/m)
  })

  await t.test('keeps the secrets and the images when all containers are made again', async () => {
    const token = await project.uploadToken()
    await compose('down')
    await compose('up', '--detach', '--scale', 'node=2', '--scale', 'front=2')
    for (const url of frontUrls) await untilOk(`${url}/readyz`)
    assert.equal(await project.uploadToken(), token)
  })

  await t.test('scales the front, and deletes from every node within two seconds', async () => {
    const nodes = await project.nodeUrls()
    assert.equal(nodes.length, 2)
    for (const url of [...nodes, ...frontUrls]) await untilOk(`${url}/readyz`)
    for (const url of [...nodes, ...frontUrls]) await view(url)
    for (const url of nodes) assert.equal(await view(url), 'nginx')
    const headers = { Authorization: `Bearer ${await project.uploadToken()}` }
    assert.equal((await fetch(`${frontUrls[1]}/images/${ID}`, { method: 'DELETE', headers })).status, 204)
    const deletedAt = performance.now()
    await Promise.all([...nodes, ...frontUrls].map((url) => untilGone(url, deletedAt)))
  })

  await t.test('starts a Prometheus that has the rules, and scrapes both nodes and both fronts', () =>
    scrapesNodesAndFronts(project),
  )

  await t.test('stops within the grace period, with exit code 0', async () => {
    await compose('--profile', 'monitoring', 'stop')
    const { prometheus, ...codes } = await project.exitCodes()
    assert.deepEqual(prometheus, [0])
    assert.deepEqual(codes, { secrets: [0], bucket: [0], minio: [0], node: [0, 0], front: [0, 0] })
  })
})
