import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { JPEG_HEAD_BYTES } from '../../domain/picture/jpeg-header.ts'
import { tooManyBytes } from '../../domain/picture/original-facts.ts'
import { CACHE_FOLDERS } from '../../domain/stored/cache-layout.ts'
import { UnavailableError } from '../../errors.ts'
import type { HashName, Intake, Spool, Spooled } from '../../service/ports/cache.ts'
import { isDiskTrouble, isMissing } from '../files/new-file.ts'
import { createFileSink, type GatheredMemory } from './file-sink.ts'

export interface DiskSpoolOptions {
  /** `CACHE_DIR`: the file is written in its `tmp`, so that it can be moved into the cache by a rename. */
  readonly cacheDir: string
  /** Maximum bytes that are spooled to memory at once. */
  readonly maxMemoryBytes: number
  /** Called for every write that the disk refuses. */
  readonly onTrouble: (error: unknown) => void
}

export function createDiskSpool({ cacheDir, maxMemoryBytes, onTrouble }: DiskSpoolOptions): Spool {
  let memoryBytes = 0
  const gathered: GatheredMemory = { bytes: 0 }

  return {
    async toDisk(body, intake, signal) {
      const path = join(cacheDir, CACHE_FOLDERS.temporary, `in-${randomUUID()}`)
      const discard = () => rm(path, { force: true })
      const tally = createTally(intake)
      const sink = createFileSink(path, gathered)
      try {
        await pipeline(body, tally.through, sink, { signal })
      } catch (error) {
        body.destroy()
        if (!sink.closed) await once(sink.destroy(), 'close')
        await discard().catch(onTrouble)
        signal.throwIfAborted()
        if (!isDiskTrouble(error) && !isMissing(error)) throw error
        onTrouble(error)
        throw new UnavailableError('disk_unavailable', 'The local disk is not writable', { cause: error })
      }
      return { source: { path }, ...tally.result(), discard }
    },

    async toMemory(body, intake, signal) {
      const chunks: Buffer[] = []
      const tally = createTally(intake)
      let held = 0
      const release = () => {
        memoryBytes -= held
        held = 0
      }
      const collect = new Writable({
        write(chunk: Buffer, _encoding, done) {
          if (memoryBytes + chunk.length > maxMemoryBytes) {
            done(
              new UnavailableError(
                'overloaded',
                'The memory limit for originals is reached while the local disk is not writable',
              ),
            )
            return
          }
          held += chunk.length
          memoryBytes += chunk.length
          chunks.push(chunk)
          done()
        },
      })
      try {
        await pipeline(body, tally.through, collect, { signal })
      } catch (error) {
        release()
        signal.throwIfAborted()
        throw error
      }
      return { source: { bytes: Buffer.concat(chunks) }, ...tally.result(), discard: async () => release() }
    },
  }
}

/** Counts and hashes a stream, and fails with `original_too_large` beyond `maxBytes`. */
function createTally({ maxBytes, hashes }: Intake): { readonly through: Transform; result(): Tally } {
  const running = new Map(hashes.map((name) => [name, createHash(name)]))
  const head: Buffer[] = []
  let sizeBytes = 0
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) {
        done(tooManyBytes(maxBytes))
        return
      }
      // A copy: the memory of a written chunk may be freed.
      if (sizeBytes - chunk.length < JPEG_HEAD_BYTES) head.push(Buffer.from(chunk.subarray(0, JPEG_HEAD_BYTES)))
      for (const hash of running.values()) hash.update(chunk)
      done(null, chunk)
    },
  })
  const digest = (name: HashName): string => running.get(name)?.digest('hex') ?? ''
  return {
    through,
    result: () => ({ sizeBytes, head: Buffer.concat(head), sha256: digest('sha256'), md5: digest('md5') }),
  }
}

type Tally = Pick<Spooled, 'sizeBytes' | 'head' | HashName>
