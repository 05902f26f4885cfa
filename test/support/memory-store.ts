import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { objectBody } from '../../src/adapters/calls/timed-body.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'

interface MemoryObject {
  readonly bytes: Buffer
  readonly contentType: string
  readonly md5: string
  readonly modifiedAt: Date
}

/** An `ObjectStore` in memory, with its content open to look into and to tamper with. */
export function createMemoryStore(): ObjectStore & { readonly objects: Map<string, MemoryObject> } {
  const objects = new Map<string, MemoryObject>()
  return {
    objects,

    async open(key, signal) {
      signal.throwIfAborted()
      const found = objects.get(key)
      if (found === undefined) return undefined
      const sizeBytes = found.bytes.length
      return { sizeBytes, body: objectBody(Readable.from([found.bytes]), { sizeBytes, signal }) }
    },

    async stat(key, signal) {
      signal.throwIfAborted()
      const found = objects.get(key)
      return found && { sizeBytes: found.bytes.length, md5: found.md5, modifiedAt: found.modifiedAt }
    },

    async put(key, source, { contentType, md5: expected, sizeBytes, overwrite }, signal) {
      const bytes = 'bytes' in source ? Buffer.from(source.bytes) : await readFile(source.path)
      signal.throwIfAborted()
      const md5 = createHash('md5').update(bytes).digest('hex')
      if (bytes.length !== sizeBytes || (expected ?? md5) !== md5) {
        throw new UnavailableError('store_unavailable', 'The object was damaged in transit to the object store')
      }
      if (objects.has(key) && overwrite !== true) return 'exists'
      objects.set(key, { bytes, contentType, md5, modifiedAt: new Date() })
      return 'created'
    },

    async remove(key, signal) {
      signal.throwIfAborted()
      objects.delete(key)
    },

    async *list(prefix, after, signal) {
      signal.throwIfAborted()
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix))
      for (const key of keys.toSorted(compareBytes)) {
        if (compareBytes(key, after) > 0) yield key
      }
    },

    async *listObjects(prefix, after, signal) {
      signal.throwIfAborted()
      for (const [key, found] of [...objects].toSorted(([one], [other]) => compareBytes(one, other))) {
        if (key.startsWith(prefix) && compareBytes(key, after) > 0)
          yield { key, sizeBytes: found.bytes.length, modifiedAt: found.modifiedAt }
      }
    },

    async check(signal) {
      signal.throwIfAborted()
    },

    async mayWrite(signal) {
      signal.throwIfAborted()
      return true
    },

    checksMd5: true,
    close() {},
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
