import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { prepareFileStore } from '../../src/adapters/file-store/file-store.ts'
import { loadUploadToken } from '../../src/adapters/file-store/file-store-token.ts'

test('Of many calls at once one makes the token, all get it, and at no moment may another user read it', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'darkroom-token-'))
  t.after(() => rm(parent, { recursive: true }))
  const umask = process.umask(0)
  t.after(() => process.umask(umask))
  const watching = { over: false, seen: 0 }
  const folders = Array.from({ length: 20 }, (_, at) => join(parent, String(at)))
  const watch = async (): Promise<void> => {
    while (!watching.over) {
      for (const entry of await readdir(parent, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue
        // Written aside under another name, which may be gone again.
        const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined)
        watching.seen += Number(found !== undefined)
        assert.equal((found?.mode ?? 0) & 0o077, 0, entry.name)
      }
    }
  }
  const watched = watch()
  for (const folder of folders) {
    await prepareFileStore(folder)
    const found = await Promise.all(Array.from({ length: 25 }, () => loadUploadToken(folder)))
    const tokens = found.map((each) => ('token' in each ? each.token : each.errorCode))
    assert.equal(new Set(tokens).size, 1)
    assert.equal(found.filter((each) => 'isNew' in each && each.isNew).length, 1)
    assert.deepEqual((await readdir(folder)).toSorted(), ['tmp', 'upload-token'])
    assert.deepEqual(await readdir(join(folder, 'tmp')), [])
  }
  watching.over = true
  await watched
  assert.ok(watching.seen > 0)
})
