import { createHash } from 'node:crypto'
import pLimit from 'p-limit'
import { originalKey } from '../../src/domain/stored/store-layout.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { idOf } from '../pictures/picture.ts'

const AT_ONCE = 8
const never = new AbortController().signal

/** Puts originals into the store, so that no node has seen them. @param make Gives a PNG or JPEG. @returns their ids. */
export async function plant(
  store: ObjectStore,
  count: number,
  make: (index: number) => Buffer | Promise<Buffer>,
): Promise<readonly string[]> {
  return await pLimit(AT_ONCE).map(Array.from({ length: count }).keys(), async (index) => {
    const bytes = await make(index)
    const id = idOf(bytes)
    const contentType = bytes.readUInt8(0) === 0xff ? 'image/jpeg' : 'image/png'
    const md5 = createHash('md5').update(bytes).digest('hex')
    await store.put(originalKey(id), { bytes }, { contentType, sizeBytes: bytes.length, md5 }, never)
    return id
  })
}
