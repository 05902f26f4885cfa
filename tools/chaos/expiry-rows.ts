import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { noisePicture } from '../pictures/picture.ts'
import { runCommand } from '../processes/process.ts'
import { type Answer, ask, assertUnavailable, filesBelow } from '../requests/ask.ts'
import { startLoad } from '../requests/load.ts'
import { backgroundIsDone } from '../servers/darkroom.ts'
import { ensureCommand } from '../servers/debian-packages.ts'
import { startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { assertRecovers, setStage, startNode } from './stage.ts'

const PURGE = fileURLToPath(new URL('../../scripts/purge-cache', import.meta.url))

/** @returns the command that runs another with its clock wrong by so much, as `+20m`. */
async function atAnotherTime(offset: string): Promise<readonly string[]> {
  const faketime = await ensureCommand('faketime', { packages: ['faketime'], services: [] })
  // Only what a wrong clock changes: how long something takes is still known.
  return ['env', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'DONT_FAKE_MONOTONIC=1', faketime, '-f', offset]
}

const HOUR_MS = 3_600_000
/** A node's clock, as libfaketime writes it and in ms. */
const CLOCKS = [
  ['+60d', 60 * 24 * HOUR_MS],
  ['-60d', -60 * 24 * HOUR_MS],
  ['+20m', HOUR_MS / 3],
] as const

/** Resolves when a node whose clock is wrong by so much has swept its cache. */
async function swept(cacheDir: string, offsetMs: number): Promise<void> {
  for (;;) {
    const [sweptAtMs] = (await readFile(join(cacheDir, '.sweep-clock'), 'utf8').catch(() => '0')).split(' ').map(Number)
    if (sweptAtMs !== undefined && Math.abs(sweptAtMs - Date.now() - offsetMs) < HOUR_MS / 12) return
    await delay(100)
  }
}

async function skewed(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const fault = { kind: 'status', status: 403, code: 'RequestTimeTooSkewed' } as const
  await stage.proxy.setFault({ ...fault, matching: { path: /\/originals\//, first: 1 } })
  assert.equal((await scope.tally.ask(stage.freshUrl)).status, 200)
  scope.says('one refusal for the time: 200')
  await stage.proxy.setFault(fault)
  const lasting = await stage.post(stage.late.bytes)
  assertUnavailable(lasting, /^store_unavailable$/)
  assert.match(lasting.body.toString(), /clocks differ/)
  assert.equal((await ask(`${stage.node.url}/readyz`)).status, 503)
  scope.says('a lasting one: 503, ready 503')
  await stage.proxy.setFault(undefined)
  await assertRecovers(scope, stage)

  const CACHE_DIR = join(await temporaryFolder(scope), 'cache')
  const env = { ...stage.env, CACHE_DIR, CACHE_SWEEP_SECONDS: '1' }
  const first = await startNode(scope, { env })
  const nginx = await startNginxFor(scope, first, { directHits: false })
  const paths = Array.from({ length: 30 }, (_, at) => `/image/${stage.known.id}/${100 + at}w/x.jpg`)
  for (const path of paths) assert.equal((await scope.tally.ask(`${nginx.origin}${path}`)).status, 200)
  await first.stop()
  const kept = await filesBelow(join(CACHE_DIR, 'renditions'))
  for (const [offset, offsetMs] of CLOCKS) {
    const through = await atAnotherTime(offset)
    const node = await startNode(scope, { through, unready: true, env: { ...env, PORT: String(first.port) } })
    for (const path of paths) assert.equal((await scope.tally.ask(`${nginx.origin}${path}`)).status, 200)
    const store = await scope.tally.ask(`${nginx.origin}/images/${stage.known.id}`)
    await swept(CACHE_DIR, offsetMs)
    assert.deepEqual((await filesBelow(join(CACHE_DIR, 'renditions'))).toSorted(), kept, offset)
    scope.says(`the node's clock ${offset}: ${kept.length} cached files stay, the store is asked with ${store.status}`)
    await node.stop()
  }
}

async function purged(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const { cacheDir } = stage.node
  const pictures = await Promise.all(Array.from({ length: 10 }, (_, at) => noisePicture(900 + at, 320, 240)))
  for (const { bytes } of pictures) assert.equal((await stage.post(bytes)).status, 201)
  await mkdir(join(cacheDir, 'tmp'), { recursive: true })
  const young = join(cacheDir, 'tmp', 'out-somebody-writes-this')
  await writeFile(young, 'half of a picture')
  const load = startLoad(scope, stage.url, pictures, (answer: Answer) => scope.tally.count(answer))
  const times = scope.short ? 3 : 8
  for (let round = 0; round < times; round += 1) {
    await load.goOnFor(30)
    await runCommand(PURGE, ['--all', '--quiet', '--cache-dir', cacheDir])
    assert.ok((await readdir(join(cacheDir, 'tmp'))).includes('out-somebody-writes-this'))
  }
  const { pictures: shown, unavailable } = await load.stop()
  scope.tally.add(200, shown)
  assert.equal(unavailable, 0)
  await backgroundIsDone(stage.node)
  await runCommand(PURGE, ['--all', '--quiet', '--cache-dir', cacheDir])
  const entries = await readdir(join(cacheDir, 'renditions'), { recursive: true })
  assert.deepEqual(
    entries.filter((path) => path.split('/').length > 1),
    [],
  )
  const [command = '', ...args] = await atAnotherTime('+2h')
  await runCommand(command, [...args, PURGE, '--quiet', '--cache-dir', cacheDir])
  assert.ok(!(await readdir(join(cacheDir, 'tmp'))).includes('out-somebody-writes-this'))
  assert.equal((await scope.tally.ask(stage.freshUrl)).status, 200)
  scope.says(
    `${times} purges of everything under load: ${shown} pictures, all 200; a temporary file of this hour stays, and goes two hours later; ` +
      'no empty folders are left',
  )
}

export const EXPIRY_ROWS: readonly FaultRow[] = [
  {
    row: 13,
    fault: 'clock skew',
    what: 'The store reports clock skew, once and always; a node’s clock (by libfaketime) is 60 days ahead, 60 days behind, and 20 minutes ahead',
    run: skewed,
  },
  {
    row: 19,
    fault: 'purge racing with reads and writes',
    what: 'scripts/purge-cache --all repeatedly under load',
    run: purged,
  },
]
