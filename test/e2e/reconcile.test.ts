import assert from 'node:assert/strict'
import { readdir, rm, utimes } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { recordKey } from '../../src/domain/stored/store-layout.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const RECONCILE = resolve(import.meta.dirname, '../../scripts/reconcile')
const HOUR_SECONDS = 3600

test('scripts/reconcile reports an image whose event is lost, and no other', async (t) => {
  const folder = await temporaryFolder(t)
  const data = join(folder, 'data')
  const env = { STORE: `file:${data}`, CACHE_DIR: join(folder, 'cache') }
  const node = await startNodeFor(t, { env })
  const run = async (...args: readonly string[]) =>
    jsonFields(await runQuietly(RECONCILE, ['--json', ...args], { ...process.env, ...env }))
  const feed = async () => {
    const text = await (await fetch(`${node.url}/events?wait=0`, { headers: AUTHORIZATION })).text()
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => jsonFields(line)['subject'])
  }
  const kept = await uploadFixture(node.url, 'mountains.jpg')
  const hours = await readdir(join(data, 'outbox'))
  const lost = await uploadFixture(node.url, 'fig-alpha.png')
  const before = new Date(Date.now() - HOUR_SECONDS * 1000)
  for (const id of [kept, lost]) await utimes(join(data, recordKey(id)), before, before)
  for (const hour of await readdir(join(data, 'outbox'))) {
    const names = (await readdir(join(data, 'outbox', hour))).toSorted((one, other) => one.localeCompare(other))
    const isFirst = hour === hours[0]
    for (const name of isFirst ? names.slice(1) : names) await rm(join(data, 'outbox', hour, name))
  }
  assert.deepEqual(await feed(), [kept])
  assert.deepEqual(await run('--dry-run'), { images: 2, checked: 2, missing: 1 })
  assert.deepEqual(await feed(), [kept])
  assert.deepEqual(await run(), { images: 2, checked: 2, missing: 1 })
  assert.deepEqual(await feed(), [kept, lost])
  assert.deepEqual(await run(), { images: 2, checked: 2, missing: 0 })
  await rm(join(data, 'outbox'), { recursive: true })
  assert.deepEqual(await run('--all'), { images: 2, checked: 2, missing: 2 })
  assert.deepEqual(new Set(await feed()), new Set([kept, lost]))
})
