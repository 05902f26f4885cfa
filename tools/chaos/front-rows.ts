import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { assertPicture, noisePicture, type Picture } from '../pictures/picture.ts'
import { assertUnavailable, recoversIn } from '../requests/ask.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import { type Haproxy, startHaproxy } from '../servers/haproxy.ts'
import { AUTHORIZATION, startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { setStage, startNode, upload } from './stage.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const LOOKS = [30, 31, 32] as const

async function nodeDown(scope: RowScope): Promise<void> {
  // Outlive their nodes.
  const [CACHE_DIR, other] = [join(await temporaryFolder(scope), 'cache'), join(await temporaryFolder(scope), 'cache')]
  const one = await setStage(scope, { nginx: { directHits: true }, env: { CACHE_DIR } })
  const second = await startNode(scope, { env: { ...one.env, CACHE_DIR: other } })
  const two = await startNginxFor(scope, second)
  const { urls } = await startFronts(scope, one.node, [one.nginx, two])
  const pictures = await Promise.all(Array.from({ length: 30 }, (_, at) => noisePicture(200 + at)))
  for (const { bytes } of pictures) assert.equal((await upload(scope, one.url, bytes)).status, 201)
  const look = (url: string, width: number) =>
    Promise.all(pictures.map(({ id }) => scope.tally.ask(`${url}/image/${id}/${width}w/x.jpg`)))
  for (const url of urls) for (const { status } of await look(url, 30)) assert.equal(status, 200)

  await one.node.stop()
  for (const [at, url] of urls.entries()) {
    for (const width of LOOKS) for (const { status } of await look(url, width)) assert.equal(status, 200)
    for (let number = 0; number < 20; number += 1) {
      const { bytes } = await noisePicture(300 + at * 20 + number)
      assert.equal((await upload(scope, url, bytes)).status, 201)
    }
  }
  scope.says('through nginx and HAProxy each, one of two down: 90 of 90 GETs and 20 of 20 uploads good')
  await second.stop()
  for (const url of urls) {
    const failed = await look(url, 33)
    for (const answer of failed) assertUnavailable(answer, /^unavailable$/)
    assertUnavailable(await upload(scope, url, pictures[0]?.bytes ?? Buffer.alloc(0)), /^unavailable$/)
    const hits = await look(url, 30)
    for (const { status } of hits) assert.equal(status, 200)
  }
  scope.says('both down: 30 new sizes and an upload 503 in JSON, 30 files of the caches 200')
  await startNode(scope, { env: { ...one.env, PORT: String(second.port), CACHE_DIR: other } })
  for (const url of urls) scope.recovered(await recovery(scope, url, pictures))
}

/** Both fronts of two nodes, and their origins. */
async function startFronts(
  scope: RowScope,
  node: Darkroom,
  nginxes: readonly { readonly port: number }[],
): Promise<{ readonly urls: readonly string[]; readonly haproxy: Haproxy }> {
  const nodes = nginxes.map(({ port }) => `127.0.0.1:${port}`)
  const nginx = await startNginxFor(scope, node, { nodes })
  const haproxy = await startHaproxy({ nodes: nodes.map((address, at) => ({ name: `node${at + 1}`, address })) })
  scope.after(haproxy.stop)
  for (const at of nodes.keys()) await haproxy.becomes('ready', `node${at + 1}`, 'UP')
  return { urls: [nginx.frontOrigin, haproxy.origin], haproxy }
}

/** @returns how long it took until new sizes of all pictures, and an upload, were answered again; ms. */
async function recovery(scope: RowScope, url: string, pictures: readonly Picture[]): Promise<number> {
  const began = performance.now()
  for (const { id } of pictures) {
    await recoversIn(
      () => scope.tally.ask(`${url}/image/${id}/33w/x.jpg`),
      ({ status }) => status === 200,
    )
  }
  const { bytes } = await noisePicture(390)
  await recoversIn(
    () => upload(scope, url, bytes),
    ({ status }) => status === 201 || status === 200,
  )
  return performance.now() - began
}

async function noneReady(scope: RowScope): Promise<void> {
  const one = await setStage(scope, { nginx: { directHits: true } })
  const second = await startNode(scope, { env: { ...one.env } })
  const two = await startNginxFor(scope, second)
  const { urls, haproxy } = await startFronts(scope, one.node, [one.nginx, two])
  const pictures = await Promise.all(Array.from({ length: 30 }, (_, at) => noisePicture(400 + at)))
  for (const { bytes } of pictures) assert.equal((await upload(scope, one.url, bytes)).status, 201)
  const look = (url: string, width: number) =>
    Promise.all(pictures.map(({ id }) => scope.tally.ask(`${url}/image/${id}/${width}w/x.jpg`)))
  for (const url of urls) for (const { status } of await look(url, 30)) assert.equal(status, 200)
  await one.proxy.setFault({ kind: 'refuse' })
  for (const name of ['node1', 'node2']) await haproxy.becomes('ready', name, 'DOWN')
  const unknown = `/image/${'e'.repeat(40)}/30w/x.jpg`
  const { bytes } = await noisePicture(450)
  for (const url of urls) {
    for (let times = 0; times < 10; times += 1) for (const { status } of await look(url, 30)) assert.equal(status, 200)
    assertUnavailable(await scope.tally.ask(`${url}${unknown}`), /^(?:store_)?unavailable$/)
    assertUnavailable(await upload(scope, url, bytes), /^(?:store_)?unavailable$/)
  }
  scope.says(
    'through nginx and HAProxy each: 300 of 300 cached pictures 200; an unknown picture and an upload 503 in JSON',
  )
  await one.proxy.setFault(undefined)
  for (const url of urls) scope.recovered(await recovery(scope, url, pictures))
}

async function mountLost(scope: RowScope): Promise<void> {
  const stage = await setStage(scope, { nginx: { directHits: true } })
  const elsewhere = await temporaryFolder(scope)
  const blind = await startNginxFor(scope, { port: stage.node.port, cacheDir: elsewhere })
  for (const round of [0, 1]) {
    for (let width = 40; width < 90; width += 1) {
      const name = width % 2 === 0 ? '/x.jpg' : ''
      const answer = await scope.tally.ask(`${blind.origin}/image/${stage.known.id}/${width}w,up${name}`)
      assert.equal(answer.status, 200, `${round}: ${answer.body.toString().slice(0, 200)}`)
      await assertPicture(answer.body, { format: 'jpeg', width })
      assert.match(answer.headers.get('cache-control') ?? '', /immutable/)
    }
  }
  scope.says('50 pictures, twice: 100 of 100 are 200, sent by the node')
}

/** A copy of this program with another encoder, whose files are not as they were. @returns its main file. */
async function otherVersion(scope: RowScope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-version-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  await cp(join(ROOT, 'src'), join(folder, 'src'), { recursive: true })
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const file = join(folder, 'src/adapters/sharp/sharp-engine.ts')
  const text = await readFile(file, 'utf8')
  const changed = text.replace(/^const REVISION = (\d+)$/m, 'const REVISION = 1$1')
  assert.notEqual(changed, text, 'sharp-engine.ts has no REVISION')
  await writeFile(`${file}.new`, changed)
  await rename(`${file}.new`, file)
  return join(folder, 'src/main.ts')
}

async function rollingUpgrade(scope: RowScope): Promise<void> {
  const old = await setStage(scope, { nginx: { directHits: true } })
  const next = await startNode(scope, { main: await otherVersion(scope), env: old.env })
  const other = await startNginxFor(scope, next)
  const paths = Array.from({ length: 20 }, (_, at) => `/image/${old.known.id}/${30 + at}w/x.jpg`)
  for (const path of paths) {
    const [before, after] = [
      await scope.tally.ask(`${old.url}${path}`),
      await scope.tally.ask(`${other.origin}${path}`),
    ]
    const etag = before.headers.get('etag') ?? ''
    assert.equal(before.status, 200)
    assert.notEqual(after.headers.get('etag'), etag)
    // The rest of a file that was begun at the old node.
    const rest = { headers: { Range: 'bytes=100-', 'If-Range': etag } }
    const [same, another] = [
      await scope.tally.ask(`${old.url}${path}`, rest),
      await scope.tally.ask(`${other.origin}${path}`, rest),
    ]
    assert.deepEqual([same.status, same.body], [206, before.body.subarray(100)])
    assert.deepEqual([another.status, another.body], [200, after.body])
  }
  scope.says(
    `${paths.length} URLs from two versions: all ETags differ; a range begun at one is given whole by the other`,
  )
  const { status } = await scope.tally.ask(`${other.origin}/images/${old.known.id}`, { headers: AUTHORIZATION })
  assert.equal(status, 200)
}

export const FRONT_ROWS: readonly FaultRow[] = [
  {
    row: 31,
    fault: 'nginx up, node down',
    what: 'Of two nodes behind nginx and HAProxy as fronts, one is stopped, then the other',
    run: nodeDown,
  },
  {
    row: 32,
    fault: 'nginx’s view of the cache missing',
    what: 'nginx is configured with an empty folder instead of the cache',
    run: mountLost,
  },
  {
    row: 33,
    fault: 'rolling upgrade with another encoder',
    what: 'A second node runs a copy of the program with another revision of the pipeline',
    run: rollingUpgrade,
  },
  {
    row: 37,
    fault: 'no node is ready at the front',
    what: 'The store refuses connections of both nodes behind nginx and HAProxy as fronts',
    run: noneReady,
  },
]
