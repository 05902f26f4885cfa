import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createDiskWriter } from '../../src/adapters/cache/disk-writer.ts'

async function createStage(context: TestContext, idleMs?: number) {
  const root = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  context.after(() => rm(root, { recursive: true, force: true }))
  return { root, temporary: join(root, 'tmp'), writer: createDiskWriter(idleMs === undefined ? {} : { idleMs }) }
}

test('A file appears with its time and its mode, in folders that are made for it', async (context) => {
  const { root, temporary, writer } = await createStage(context)
  const folder = join(root, 'a/b/c')
  const bytes = Buffer.from('picture')
  await writer.write({ temporary, folder, name: 'file', bytes, mtimeSeconds: 1_600_000_000, durable: true })
  const { mtimeMs, mode } = await stat(join(folder, 'file'))
  assert.deepEqual([mtimeMs, mode & 0o777], [1_600_000_000_000, 0o640])
  assert.equal((await stat(folder)).mode & 0o777, 0o750)
  assert.deepEqual(await readFile(join(folder, 'file')), bytes)
  assert.deepEqual(await readdir(temporary), [])
})

test('Of more files than threads each gets its own answer, and a later one of the same name takes its place', async (context) => {
  const { root, temporary, writer } = await createStage(context)
  const name = (at: number) => `${at % 2 === 0 ? 'good' : 'bad'}-${at}`
  await mkdir(join(root, 'good'))
  await writeFile(join(root, 'bad'), 'a file where a folder should be')
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, (_, at) => {
      const folder = join(root, at % 2 === 0 ? 'good' : 'bad')
      return writer.write({ temporary, folder, name: name(at), bytes: Buffer.from(String(at)), durable: false })
    }),
  )
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') assert.equal(await readFile(join(root, 'good', name(at)), 'utf8'), String(at))
    else assert.match(String(outcome.reason), /^Error: ENOTDIR/)
  }
  assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 20)
  assert.deepEqual(await readdir(temporary), [], 'and nothing is left of those that failed')
  await writer.write({
    temporary,
    folder: join(root, 'good'),
    name: 'good-0',
    bytes: Buffer.from('new'),
    durable: true,
  })
  assert.equal(await readFile(join(root, 'good/good-0'), 'utf8'), 'new')
})

test('Threads that a burst needed end when they have nothing to write, and the last one stays', async (context) => {
  const { root, temporary, writer } = await createStage(context, 20)
  const write = (at: number) =>
    writer.write({ temporary, folder: root, name: String(at), bytes: Buffer.from('x'), durable: true })
  const burst = Array.from({ length: 40 }, (_, at) => write(at))
  assert.ok(writer.threads > 1)
  await Promise.all(burst)
  while (writer.threads > 1) await delay(5)
  await write(41)
  assert.equal(writer.threads, 1)
  assert.equal((await readdir(root)).length, 42)
})
