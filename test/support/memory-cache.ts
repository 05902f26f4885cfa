import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { MEZZANINE_LEVELS } from '../../src/domain/picture/mezzanine.ts'
import { OriginalError, UnavailableError } from '../../src/errors.ts'
import type { CachedFile, HashName, ImageCache, Intake, Spool } from '../../src/service/ports/cache.ts'

/** What stands for a node's disk: files by path, open to look into and to tamper with. */
export interface MemoryDisk {
  readonly files: Map<string, Buffer>
  /** Refuses every write, as a full disk does. */
  full: boolean
}

export function createMemoryDisk(): MemoryDisk {
  return { files: new Map(), full: false }
}

export interface MemoryCache extends ImageCache {
  isBusy: boolean
  /** `find`, `touch` and the like, in order, as `<name> <id>`. */
  readonly calls: string[]
  /** Called when `find` has looked, before it says what it saw. */
  afterLook: () => Promise<void>
}

/**
 * An `ImageCache` over such a disk: renditions at `<id>/<file>`, originals at `originals/<id>`, mezzanines at
 * `mezzanines/<id>/<level>`.
 */
export function createMemoryCache(disk: MemoryDisk, mtimeSeconds = 1_700_000_000): MemoryCache {
  const { files } = disk
  const calls: string[] = []
  const original = (id: string) => `originals/${id}`
  const mezzanine = (id: string, level: number) => `mezzanines/${id}/${level}`
  const mtimes = new Map<string, number>()

  function move(from: string, to: string): boolean {
    const bytes = files.get(from)
    if (bytes === undefined || disk.full) return false
    files.delete(from)
    files.set(to, bytes)
    return true
  }

  function look(id: string, names: readonly string[]): CachedFile | undefined {
    for (const file of names) {
      const path = `${id}/${file}`
      const bytes = files.get(path)
      if (bytes) return { file, sizeBytes: bytes.length, mtimeSeconds: mtimes.get(path) ?? mtimeSeconds }
    }
    return undefined
  }

  const cache: MemoryCache = {
    calls,
    afterLook: async () => {},
    mtimeSeconds,
    async find(id, names) {
      calls.push(`find ${id}`)
      const found = look(id, names)
      await cache.afterLook()
      return found
    },
    has: async (id) => [...files.keys()].some((path) => path.split('/').includes(id)),
    read: async (id, file) => files.get(`${id}/${file}`),
    async open(id, file, range) {
      const bytes = files.get(`${id}/${file}`)
      return bytes && Readable.from([bytes.subarray(range?.start, range && range.end + 1)])
    },
    async publish(id, file, bytes, mtime = mtimeSeconds) {
      if (!disk.full) {
        files.set(`${id}/${file}`, bytes)
        mtimes.set(`${id}/${file}`, mtime)
      }
      return !disk.full
    },
    isBusy: false,
    flush: async () => {},
    async link(id, file, alias) {
      const bytes = files.get(`${id}/${file}`)
      if (bytes && !disk.full) files.set(`${id}/${alias}`, bytes)
      return bytes !== undefined && !disk.full
    },
    async touch(id, { file }) {
      calls.push(`touch ${id}`)
      return files.has(`${id}/${file}`)
    },
    findOriginal: async (id) => (files.has(original(id)) ? original(id) : undefined),
    async openOriginal(id, sizeBytes, { start, end } = { start: 0, end: sizeBytes - 1 }) {
      const bytes = files.get(original(id))
      return bytes?.length === sizeBytes ? Readable.from([bytes.subarray(start, end + 1)]) : undefined
    },
    adoptOriginal: async (id, path) => (move(path, original(id)) ? original(id) : undefined),
    async readMezzanines(id) {
      return MEZZANINE_LEVELS.flatMap((level) => {
        const path = mezzanine(id, level)
        const bytes = files.get(path)
        return bytes ? [{ level, path, bytes }] : []
      })
    },
    async publishMezzanine(id, level, bytes) {
      const path = mezzanine(id, level)
      if (!disk.full) files.set(path, bytes)
      return disk.full ? undefined : path
    },
    async hide(ids) {
      for (const id of ids) {
        calls.push(`hide ${id}`)
        const isOf = (path: string) => path === original(id) || /^(?:mezzanines\/)?([^/]+)\//.exec(path)?.[1] === id
        for (const path of files.keys()) if (isOf(path)) files.delete(path)
      }
      return []
    },
    async hideAll() {
      calls.push('hideAll')
      for (const path of files.keys()) if (!path.startsWith('notes/')) files.delete(path)
      return true
    },
    readNotice: async (resource) => files.get(`originals/${resource}`)?.toString(),
    async writeNotice(resource, text) {
      if (!disk.full) files.set(`originals/${resource}`, Buffer.from(text))
    },
    readNote: async (name) => files.get(`notes/${name}`)?.toString(),
    async writeNote(name, text) {
      if (!disk.full) files.set(`notes/${name}`, Buffer.from(text))
    },
  }
  return cache
}

/** A `Spool` onto such a disk. */
export function createMemorySpool(disk: MemoryDisk): Spool {
  let names = 0

  async function take(body: Readable, { maxBytes, hashes }: Intake) {
    const bytes = await buffer(body)
    if (bytes.length > maxBytes) throw new OriginalError('original_too_large', 'Too large')
    const hash = (name: HashName) => (hashes.includes(name) ? createHash(name).update(bytes).digest('hex') : '')
    return { bytes, facts: { sizeBytes: bytes.length, head: bytes, sha256: hash('sha256'), md5: hash('md5') } }
  }

  return {
    async toDisk(body, intake) {
      if (disk.full) {
        body.destroy()
        throw new UnavailableError('disk_unavailable', 'The disk is full')
      }
      const { bytes, facts } = await take(body, intake)
      names += 1
      const path = `tmp/${names}`
      disk.files.set(path, bytes)
      return { source: { path }, ...facts, discard: async () => void disk.files.delete(path) }
    },
    async toMemory(body, intake) {
      const { bytes, facts } = await take(body, intake)
      return { source: { bytes }, ...facts, discard: async () => {} }
    },
  }
}
