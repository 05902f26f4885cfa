import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSourceBuffer } from '../../src/adapters/renderer/source-buffer.ts'

test('Files are read one after the other; those that are large or missing are left to the engine', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const sources = createSourceBuffer()
  for (const sizeBytes of [1, 600_000, 3_000_000, 10, 4 * 1024 * 1024]) {
    const bytes = randomBytes(sizeBytes)
    const path = join(folder, `of-${sizeBytes}`)
    await writeFile(path, bytes)
    assert.deepEqual(sources.load({ path }), { bytes })
  }
  const large = { path: join(folder, 'large') }
  await writeFile(large.path, Buffer.alloc(4 * 1024 * 1024 + 1))
  const empty = { path: join(folder, 'empty') }
  await writeFile(empty.path, '')
  const missing = { path: join(folder, 'missing') }
  const held = { bytes: randomBytes(10) }
  for (const source of [large, empty, missing, { path: folder }, held]) assert.equal(sources.load(source), source)
})
