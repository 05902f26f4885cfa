import { buffer } from 'node:stream/consumers'
import type { ObjectStore } from '../../src/service/ports/store.ts'

/** Copies every object of a store that its replica lacks, and removes those that the store lacks: replication, on demand. */
export async function replicate(from: ObjectStore, to: ObjectStore, signal: AbortSignal): Promise<void> {
  const wanted = new Set<string>()
  for await (const key of from.list('', '', signal)) wanted.add(key)
  const present = new Set<string>()
  for await (const key of to.list('', '', signal)) present.add(key)
  for (const key of present) if (!wanted.has(key)) await to.remove(key, signal)
  for (const key of wanted) {
    const object = present.has(key) ? undefined : await from.open(key, signal)
    if (object === undefined) continue
    const bytes = await buffer(object.body)
    await to.put(key, { bytes }, { contentType: 'application/octet-stream', sizeBytes: bytes.length }, signal)
  }
}
