import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../tools/processes/free-port.ts'
import { startDev } from '../support/dev-node.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('A node of "npm run dev" starts again when a source file changes, also after a mistake in it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-dev-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['src', 'tools', 'package.json'])
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const url = `http://127.0.0.1:${await freePort()}`
  const dev = startDev(t, folder, {
    PORT: new URL(url).port,
    STORE: `file:${folder}/data`,
    CACHE_DIR: `${folder}/cache`,
  })
  await dev.untilSaid('"msg":"listening"', 1)

  const page = join(folder, 'src/http/home-page/page.html')
  const text = await readFile(page, 'utf8')
  for (const times of ['once', 'twice', 'three times']) {
    const began = performance.now()
    // As editors save a file.
    await writeFile(`${page}.new`, text.replace('<title>', `<title>changed ${times} `))
    await rename(`${page}.new`, page)
    await untilTrue(async () => (await (await fetch(url)).text()).includes(`<title>changed ${times} `))
    t.diagnostic(`a changed source file was live after ${Math.round(performance.now() - began)} ms`)
  }

  const main = join(folder, 'src/main.ts')
  const source = await readFile(main, 'utf8')
  await writeFile(main, 'const = 1')
  await dev.untilSaid('starts again after the next change', 1)
  await writeFile(main, source)
  await untilTrue(async () => (await fetch(url)).ok)
  assert.equal(await dev.stop(), 0)
})

/** Until the condition holds; the test's own time limit ends it. */
async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await delay(50)
}
