import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { HIT_WIDTH, type SteadyLoad, startLoadOn } from '../../tools/cluster/steady-load.ts'
import { createViewers, type Exchange } from '../../tools/cluster/viewers.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { TOKEN } from '../../tools/requests/token.ts'
import { type ComposeProject, createProject, untilOk } from '../support/compose-project.ts'

/** Of two cores, with the renders of a fifth of them. */
const REQUESTS_PER_SECOND = 12
/** Requests before and after each change. */
const STEADY_MS = 3000
const PICTURES = 40
const AGREED_PICTURES = 12
const FIRST_SEED = 7000

/** A time during which nodes change. */
interface Change {
  readonly name: string
  readonly begun: number
  readonly ended: number
}

/** Waits until each front sends requests to so many nodes. */
async function untilNodes({ frontMetrics }: ComposeProject, count: number): Promise<void> {
  for (;;) {
    const counts = (await frontMetrics()).map(
      (text) => text.match(/^haproxy_server_status\{proxy="ready",server="[^"]+",state="UP"\} 1$/gm)?.length ?? 0,
    )
    if (counts.length === 2 && counts.every((each) => each === count)) return
    await delay(100)
  }
}

async function change(name: string, body: () => Promise<unknown>): Promise<Change> {
  const begun = performance.now()
  await body()
  const ended = performance.now()
  await delay(STEADY_MS)
  return { name, begun, ended }
}

/** The changes of a day, one after the other. The last one is the kill. */
async function allChanges(project: ComposeProject): Promise<readonly Change[]> {
  const { compose, docker } = project
  const scale = async (nodes: number) => {
    await compose('up', '--detach', '--no-recreate', '--scale', `node=${nodes}`, '--scale', 'front=2')
    await untilNodes(project, nodes)
  }
  const changes = [await change('to four nodes', () => scale(4)), await change('back to three', () => scale(3))]
  const [victim = ''] = await project.containerIds('node')
  const killed = await change('one is killed', () => docker('kill', victim))
  await untilNodes(project, 2)
  await change('it is started again', () => scale(3))
  return [...changes, killed]
}

/** @returns the cache status that the response names. */
async function cacheStatus(url: string): Promise<string | undefined> {
  const response = await fetch(url)
  assert.equal(response.status, 200)
  await response.arrayBuffer()
  return /cache;desc="(?<status>\w+)"/.exec(response.headers.get('Server-Timing') ?? '')?.groups?.['status']
}

/** Requests without the expected answer, but those that were under way while the node was killed. */
function unexcused(exchanges: readonly Exchange[], killed: Change | undefined): readonly string[] {
  return exchanges
    .filter(({ status }) => status !== 200 && status !== 201)
    .filter(({ begun, ended }) => killed === undefined || begun > killed.ended || ended < killed.begun)
    .map(({ kind, path, status, body }) => `${kind} ${path}: ${status} ${body.toString().slice(0, 200)}`)
}

function report(t: TestContext, { exchanges }: SteadyLoad, changes: readonly Change[]): void {
  const failed = exchanges.filter(({ status }) => status !== 200 && status !== 201).length
  t.diagnostic(`requests: ${exchanges.length}, of them failed: ${failed}`)
  for (const { name, begun, ended } of changes) {
    const during = exchanges.filter((each) => each.ended >= begun && each.begun <= ended + STEADY_MS)
    const longest = Math.max(0, ...during.map((each) => each.ended - each.begun))
    t.diagnostic(`${name}: ${Math.round(ended - begun)} ms, longest request ${Math.round(longest)} ms`)
  }
}

test('Three nodes behind two HAProxies, under load', { timeout: 480_000 }, async (t) => {
  const project = await createProject(t)
  const { folder, compose, frontUrls } = project
  // Clients have different addresses, which the proxy of the engine's ports hides.
  await writeFile(join(folder, '.env'), `UPLOAD_TOKENS=${TOKEN}\nTRUSTED_PROXIES=10.0.0.0/8\n`)
  await compose('up', '--detach', '--scale', 'node=3', '--scale', 'front=2')
  for (const url of frontUrls) await untilOk(`${url}/readyz`)
  await untilNodes(project, 3)
  const viewers = createViewers()
  t.after(() => viewers.close())
  const front = (turn: number): string => frontUrls[turn % 2 === 0 ? 0 : 1]

  await t.test('loses no request but those of a killed node, from three to four nodes and back', async (context) => {
    const ids: string[] = []
    for (let at = 0; at < PICTURES; at += 1) {
      const { bytes, id } = await noisePicture(FIRST_SEED - 1 - at)
      assert.equal((await viewers.upload(front(at), '/images', bytes)).status, 201)
      assert.equal((await viewers.view(front(at), `/image/${id}/${HIT_WIDTH}w/x.webp`, 'cold')).status, 200)
      ids.push(id)
    }
    const load = await startLoadOn({ viewers, front, ids }, REQUESTS_PER_SECOND, 1)
    await delay(STEADY_MS)
    const changes = await allChanges(project)
    await load.stop()
    report(context, load, changes)
    assert.ok(load.exchanges.length > 100)
    assert.deepEqual(unexcused(load.exchanges, changes.at(-1)), [])
  })

  await t.test('finds every picture on the node on which the other front has put it', async () => {
    for (let at = 0; at < AGREED_PICTURES; at += 1) {
      const { bytes, id } = await noisePicture(FIRST_SEED + at)
      assert.equal((await viewers.upload(front(at), '/images', bytes)).status, 201)
      assert.equal(await cacheStatus(`${front(at)}/image/${id}/40w.webp`), 'miss')
      assert.equal(await cacheStatus(`${front(at + 1)}/image/${id}/40w.webp`), 'nginx')
    }
  })

  await t.test('stops within the grace period, with exit code 0', async () => {
    await compose('stop', 'node', 'front')
    const { node = [], front: fronts } = await project.exitCodes()
    assert.deepEqual(node, [0, 0, 0])
    assert.deepEqual(fronts, [0, 0])
  })
})
