import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createFlagFolder } from '../../src/adapters/cache/flag-folder.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

async function setUp(t: TestContext) {
  const parent = await temporaryFolder(t)
  const folder = join(parent, '.flags')
  const stuck: unknown[] = []
  return {
    folder,
    stuck,
    create: () => createFlagFolder({ folder, onStuck: (error) => stuck.push(error) }),
    until: async (isThere: boolean, ...names: string[]) => {
      while (names.some((name) => existsSync(join(folder, name)) !== isThere)) await delay(1)
    },
  }
}

test('Flags of a process before this one are taken down, and each is up and down by itself', async (t) => {
  const { folder, stuck, create, until } = await setUp(t)
  await mkdir(folder)
  for (const name of ['all', '192.0.2.7', '2001:db8::7']) await writeFile(join(folder, name), '')
  const flags = create()
  await until(false, 'all', '192.0.2.7', '2001:db8::7')
  flags.raise('192.0.2.7')
  flags.raise('all')
  await until(true, '192.0.2.7', 'all')
  flags.lower('192.0.2.7')
  await until(false, '192.0.2.7')
  assert.deepEqual(await readdir(folder), ['all'])
  await flags.stop()
  assert.deepEqual(await readdir(folder), [])
  assert.deepEqual(stuck, [])
})

test('Where an older version has left its one flag, a file, there is a folder as soon as one is needed', async (t) => {
  const { folder, stuck, create, until } = await setUp(t)
  await writeFile(folder, '')
  const flags = create()
  while (existsSync(folder)) await delay(1)
  flags.raise('all')
  await until(true, 'all')
  await flags.stop()
  assert.deepEqual(stuck, [])
})

test('Flags of thousands of clients, one after the other, are all taken down', async (t) => {
  const { folder, create, until } = await setUp(t)
  const flags = create()
  for (let round = 0; round < 10; round += 1) {
    const names = Array.from({ length: 200 }, (_, index) => `10.0.${round}.${index}`)
    for (const name of names) flags.raise(name)
    await until(true, ...names)
    for (const name of names) flags.lower(name)
    await until(false, ...names)
  }
  flags.raise('10.0.0.1')
  await until(true, '10.0.0.1')
  await flags.stop()
  assert.deepEqual(await readdir(folder), [])
})
