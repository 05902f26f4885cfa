import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { createEngine, fixture } from '../support/render.ts'

// What is blocked is so for all of a process: hence a file of its own, and samples that are made before.

test('What is not among the formats that are read has no decoder in the library itself, whoever asks it', async () => {
  const picture = await fixture('dogs-grey.jpg')
  const samples = new Map<string, Buffer>([
    ['jpeg', picture],
    ['gif', await fixture('dandelion.gif')],
    ['webp', await fixture('stream.webp')],
    ['avif', await fixture('stream.avif')],
    ['tiff', await sharp(picture).tiff().toBuffer()],
    ['svg', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['pgm', Buffer.from('P5 2 2 255 abcd')],
  ])
  const read = async (): Promise<readonly string[]> => {
    const names = [...samples].map(async ([name, bytes]) => {
      const isRead = await sharp(bytes)
        .metadata()
        .then(
          () => true,
          () => false,
        )
      return isRead ? [name] : []
    })
    return (await Promise.all(names)).flat()
  }
  const before = await read()
  for (const name of ['jpeg', 'gif', 'webp', 'avif', 'tiff', 'svg']) assert.ok(before.includes(name), name)
  const png = await fixture('fig-alpha.png')
  createEngine({ inputFormats: ['png'] })
  assert.deepEqual(await read(), [])
  assert.equal((await sharp(png).metadata()).format, 'png')
  createEngine({ inputFormats: ['png', 'webp'] })
  assert.deepEqual(await read(), ['webp'])
})
