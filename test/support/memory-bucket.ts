import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { UnavailableError } from '../../src/errors.ts'
import type { Bucket, ObjectVersion } from '../../src/service/ports/bucket.ts'

export interface MemoryBucket extends Bucket {
  /** What others have put there. */
  readonly objects: Map<string, Buffer>
  /** `look <key>`, `read <key>`, `open <key>`, in order. */
  readonly asked: string[]
  /** Answers nobody. */
  down: boolean
}

/** A bucket in memory that others fill and change. */
export function createMemoryBucket(): MemoryBucket {
  const objects = new Map<string, Buffer>()
  const asked: string[] = []
  const find = (call: string, key: string): Buffer | undefined => {
    asked.push(`${call} ${key}`)
    if (bucket.down) throw new UnavailableError('store_unavailable', 'Down')
    return objects.get(key)
  }
  const bucket: MemoryBucket = {
    objects,
    asked,
    down: false,
    async look({ key }, known) {
      const bytes = find('look', key)
      if (bytes === undefined) return undefined
      return etagOf(bytes) === known ? 'unchanged' : versionOf(bytes)
    },
    async read({ key }) {
      const bytes = find('read', key)
      return bytes && { version: versionOf(bytes), object: { body: Readable.from([bytes]), sizeBytes: bytes.length } }
    },
    async open({ key }, etag) {
      const bytes = find('open', key)
      return bytes && etagOf(bytes) === etag ? { body: Readable.from([bytes]), sizeBytes: bytes.length } : undefined
    },
    async *list(prefix) {
      find('list', prefix)
      yield* [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted()
    },
    async check() {},
    close() {},
  }
  return bucket
}

function versionOf(bytes: Buffer): ObjectVersion {
  return { etag: etagOf(bytes), sizeBytes: bytes.length, modifiedAt: new Date(1_750_000_000_000) }
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}
