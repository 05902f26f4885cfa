import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { createFlagFile } from '../../src/adapters/cache/flag-folder.ts'
import { createRandom } from '../../tools/pictures/seeded-random.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'renditions', '.flag')
  const stuck: unknown[] = []
  return {
    path,
    stuck,
    create: () => createFlagFile({ path, onStuck: (error) => stuck.push(error) }),
    until: async (isThere: boolean) => {
      while (existsSync(path) !== isThere) await delay(1)
    },
  }
}

test('A flag is down at first, then up and down as it was told last', async (t) => {
  const { path, create, until } = await setUp(t)
  await mkdir(join(path, '..'))
  await writeFile(path, '')
  const flag = create()
  await until(false)
  flag.raise()
  await until(true)
  flag.lower()
  await until(false)
  await flag.stop()
  assert.equal(existsSync(path), false)
  flag.raise()
  await flag.stop()
  assert.equal(existsSync(path), false)
})

test('However often and whenever it is told something else, what it was told last counts', async (t) => {
  const { create, until } = await setUp(t)
  const flag = create()
  const random = createRandom(20_261_122)
  for (let turn = 0; turn < 500; turn += 1) {
    const isUp = random() % 2 === 0
    if (isUp) flag.raise()
    else flag.lower()
    for (let tick = random() % 40; tick > 0; tick -= 1) await Promise.resolve()
    if (random() % 4 === 0) await immediate()
    if (random() % 8 === 0) await until(isUp)
  }
  flag.lower()
  await until(false)
  await flag.stop()
})

test('Where its folder is missing it is made, and where none can be made there is no flag', async (t) => {
  const { path, create, until, stuck } = await setUp(t)
  const flag = create()
  flag.raise()
  await until(true)
  await rm(join(path, '..'), { recursive: true })
  flag.lower()
  await writeFile(join(path, '..'), 'a file where the folder was')
  flag.raise()
  await flag.stop()
  assert.deepEqual(stuck, [])
})

test('A flag that cannot be removed is told of once, and removed as soon as it can be', async (t) => {
  const { path, create, stuck } = await setUp(t)
  // What rm does not remove: a folder.
  await mkdir(path, { recursive: true })
  const flag = create()
  while (stuck.length === 0) await delay(1)
  await delay(1100)
  assert.equal(stuck.length, 1)
  await rm(path, { recursive: true })
  // Until it has been tried once more, it is taken for still there.
  while (!existsSync(path)) {
    flag.lower()
    await delay(10)
    flag.raise()
    await delay(10)
  }
  await flag.stop()
  assert.equal(existsSync(path), false)
})
