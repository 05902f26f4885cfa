import { open } from 'node:fs/promises'
import { walkGif } from '../../domain/picture/gif-structure.ts'
import type { ObjectSource } from '../../service/ports/store.ts'

const WINDOW_BYTES = 256 * 1024

/** True if a GIF is there to its end. Reads it through once, with little memory. */
export async function isWholeGif(source: ObjectSource): Promise<boolean> {
  const walk = walkGif()
  if ('bytes' in source) return finish(walk, (at) => source.bytes[at])
  const file = await open(source.path)
  try {
    const window = Buffer.alloc(WINDOW_BYTES)
    let start = 0
    let end = 0
    let step = walk.next()
    while (!step.done) {
      if (step.value < start || step.value >= end) {
        start = step.value
        end = start + (await file.read(window, 0, WINDOW_BYTES, start)).bytesRead
      }
      step = walk.next(step.value < end ? window[step.value - start] : undefined)
    }
    return step.value
  } finally {
    await file.close()
  }
}

function finish(walk: ReturnType<typeof walkGif>, byteAt: (at: number) => number | undefined): boolean {
  let step = walk.next()
  while (!step.done) step = walk.next(byteAt(step.value))
  return step.value
}
