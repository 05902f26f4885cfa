import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { tooManyBytes } from '../../domain/picture/original-facts.ts'
import { CACHE_FOLDERS } from '../../domain/stored/cache-layout.ts'
import { UnavailableError } from '../../errors.ts'
import type { Spool } from '../../service/ports/cache.ts'
import { FILE_MODE, FOLDER_MODE, isDiskTrouble, isMissing } from '../files/new-file.ts'

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

  return {
    async toDisk(body, maxBytes, signal) {
      const path = join(cacheDir, CACHE_FOLDERS.temporary, `in-${randomUUID()}`)
      const discard = () => rm(path, { force: true })
      const tally = createTally(maxBytes)
      try {
        await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE })
        await pipeline(body, tally.through, createWriteStream(path, { flags: 'wx', mode: FILE_MODE }), { signal })
      } catch (error) {
        body.destroy()
        await discard().catch(onTrouble)
        signal.throwIfAborted()
        if (!isDiskTrouble(error) && !isMissing(error)) throw error
        onTrouble(error)
        throw new UnavailableError('disk_unavailable', 'The local disk is not writable', { cause: error })
      }
      return { source: { path }, ...tally.result(), discard }
    },

    async toMemory(body, maxBytes, signal) {
      const chunks: Buffer[] = []
      const tally = createTally(maxBytes)
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
function createTally(maxBytes: number): { readonly through: Transform; result(): Tally } {
  const sha256 = createHash('sha256')
  const md5 = createHash('md5')
  let sizeBytes = 0
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) {
        done(tooManyBytes(maxBytes))
        return
      }
      sha256.update(chunk)
      md5.update(chunk)
      done(null, chunk)
    },
  })
  return { through, result: () => ({ sizeBytes, sha256: sha256.digest('hex'), md5: md5.digest('hex') }) }
}

interface Tally {
  readonly sizeBytes: number
  readonly sha256: string
  readonly md5: string
}
