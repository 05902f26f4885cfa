import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { noisePicture, type Picture } from '../../tools/pictures/picture.ts'
import { mountSmallDisk, type SmallDisk } from '../../tools/processes/small-disk.ts'
import { ask, assertUnavailable, filesBelow, post } from '../../tools/requests/ask.ts'
import { backgroundIsDone, type Darkroom } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor, TOKEN } from '../../tools/servers/site.ts'

const RESERVE_FILES = 16

interface Stage {
  readonly disk: SmallDisk
  readonly env: Readonly<Record<string, string>>
  readonly node: Darkroom
  readonly pictures: readonly Picture[]
}

/** A store on a disk of its own, with some images. */
async function setStage(t: TestContext, count: number, inodes?: number): Promise<Stage> {
  const disk = await mountSmallDisk(t, 16, inodes)
  const env = { STORE: `file:${disk.path}/store`, UPLOAD_TOKENS: TOKEN }
  const node = await startNodeFor(t, { env })
  const pictures = await Promise.all(Array.from({ length: count }, (_, seed) => noisePicture(seed, 300, 200)))
  for (const { bytes } of pictures) assert.equal((await post(node.url, bytes, TOKEN)).status, 201)
  return { disk, env, node, pictures }
}

async function remove({ url }: Darkroom, { id }: Picture): Promise<void> {
  const answer = await ask(`${url}/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })
  assert.equal(answer.status, 204, answer.body.toString())
}

async function assertDeleted({ url }: Darkroom, { id }: Picture): Promise<void> {
  for (const path of [`/images/${id}`, `/image/${id}/40w/x.jpg`]) assert.equal((await ask(`${url}${path}`)).status, 410)
}

async function assertWorksAgain({ disk, node }: Stage): Promise<void> {
  const { bytes } = await noisePicture(1000, 100, 100)
  assert.equal((await post(node.url, bytes, TOKEN)).status, 201)
  // The information about the image is written aside, after the answer.
  await backgroundIsDone(node)
  assert.equal((await readdir(join(disk.path, 'store/tmp/reserve'))).length, RESERVE_FILES)
  const aside = (await readdir(join(disk.path, 'store/tmp'))).filter((name) => name !== 'reserve')
  assert.deepEqual(aside, [])
}

test('With no byte free in the store images are deleted, which frees their space, and stay deleted after a restart', async (t) => {
  const stage = await setStage(t, 12)
  const { disk, env, node, pictures } = stage
  await disk.fill('another-program')
  assert.equal(await disk.freeBytes(), 0)
  const { bytes } = await noisePicture(999, 300, 200)
  assertUnavailable(await post(node.url, bytes, TOKEN), /^store_full$/)

  const [first, ...rest] = pictures
  assert.ok(first)
  await remove(node, first)
  await assertDeleted(node, first)
  await disk.fill('another-program-again')
  assert.equal(await disk.freeBytes(), 0)
  // Their marks together have room before the first of them has freed any.
  await Promise.all(rest.slice(0, 6).map((picture) => remove(node, picture)))
  await disk.fill('another-program-once-more')
  for (const picture of rest.slice(6, 10)) await remove(node, picture)
  const sizeBytes = rest.slice(6, 10).reduce((sum, picture) => sum + picture.bytes.length, 0)
  assert.ok((await disk.freeBytes()) > sizeBytes / 2, `${await disk.freeBytes()} bytes are free`)
  for (const picture of pictures.slice(0, 11)) await assertDeleted(node, picture)
  const [last] = pictures.slice(11)
  assert.ok(last)
  assert.equal((await ask(`${node.url}/image/${last.id}/40w/x.jpg`)).status, 200)
  assert.deepEqual(await filesBelow(join(disk.path, 'store/originals')), [
    `${last.id.slice(0, 2)}/${last.id.slice(2, 4)}/${last.id}`,
  ])

  await node.stop()
  const again = await startNodeFor(t, { env })
  for (const picture of pictures.slice(0, 11)) await assertDeleted(again, picture)
  await assertWorksAgain({ ...stage, node: again })
})

test('With no inode free in the store images are deleted all the same', async (t) => {
  const stage = await setStage(t, 4, 400)
  const { disk, node, pictures } = stage
  const filler = await disk.fillInodes('another-program')
  const { bytes } = await noisePicture(999, 300, 200)
  assertUnavailable(await post(node.url, bytes, TOKEN), /^store_full$/)
  for (const picture of pictures) await remove(node, picture)
  for (const picture of pictures) await assertDeleted(node, picture)
  await rm(filler, { recursive: true })
  await assertWorksAgain(stage)
})

test('Without its reserve, as on a disk that was full before there was one, images are deleted all the same', async (t) => {
  const stage = await setStage(t, 3)
  const { disk, env, node, pictures } = stage
  await backgroundIsDone(node)
  await node.stop()
  await rm(join(disk.path, 'store/tmp/reserve'), { recursive: true })
  await disk.fill('another-program')
  assert.equal(await disk.freeBytes(), 0)
  const again = await startNodeFor(t, { env })
  for (const picture of pictures) await remove(again, picture)
  for (const picture of pictures) await assertDeleted(again, picture)
  await assertWorksAgain({ ...stage, node: again })
})
