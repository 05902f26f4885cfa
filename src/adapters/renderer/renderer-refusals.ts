import { LRUCache } from 'lru-cache'
import type { ObjectSource } from '../../service/ports/store.ts'

/** Images that no renderer is to be given, for a while. */
export interface RendererRefusals {
  add(source: ObjectSource): void
  has(source: ObjectSource): boolean
}

/** An attacker with more bad files than this has to send each of them again and again anyway. */
const MAX_PATHS = 1000

/** A file is known by its path, bytes by being the same buffer, which this does not keep in memory. */
export function createRendererRefusals(refuseMs: number): RendererRefusals {
  const paths = new LRUCache<string, true>({ max: MAX_PATHS, ttl: refuseMs })
  const buffers = new WeakMap<Buffer, number>()
  return {
    add(source) {
      if ('path' in source) paths.set(source.path, true)
      else buffers.set(source.bytes, performance.now() + refuseMs)
    },
    has(source) {
      return 'path' in source ? paths.has(source.path) : performance.now() < (buffers.get(source.bytes) ?? 0)
    },
  }
}
