import { closeSync, openSync, readSync, statSync } from 'node:fs'
import type { ObjectSource } from '../../service/ports/store.ts'
import { systemErrorCode } from '../files/new-file.ts'

/** Holds the file of one task at a time: libvips opens a file a dozen times, for each loader and for shrink-on-load. */
export interface SourceBuffer {
  /** @returns the bytes, valid until the next call; a large or unreadable file as it was given. */
  load(source: ObjectSource): ObjectSource
}

/** Larger files are read by libvips, in parts. */
const MAX_BYTES = 4 * 1024 * 1024
const FIRST_BYTES = 512 * 1024

export function createSourceBuffer(): SourceBuffer {
  // Not a buffer for each task: the collector would let them grow to 100 MB.
  let memory = Buffer.alloc(0)

  /** Synchronous, as the process has nothing else to do. */
  function read(path: string): Buffer | undefined {
    const found = statSync(path)
    // Opening anything but a file could block.
    if (!found.isFile() || found.size === 0 || found.size > MAX_BYTES) return undefined
    const { size } = found
    const file = openSync(path, 'r')
    try {
      if (size > memory.length) memory = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 ** Math.ceil(Math.log2(size))))
      let length = 0
      for (let count = -1; length < size && count !== 0; length += count) {
        count = readSync(file, memory, length, size - length, length)
      }
      return memory.subarray(0, length)
    } finally {
      closeSync(file)
    }
  }

  return {
    load(source) {
      if ('bytes' in source) return source
      try {
        const bytes = read(source.path)
        return bytes ? { bytes } : source
      } catch (error) {
        // The engine reports it.
        if (systemErrorCode(error) === '') throw error
        return source
      }
    },
  }
}
