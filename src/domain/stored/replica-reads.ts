import { deletedKey } from './store-layout.ts'

/**
 * How a replica may answer for a key:
 * - `original`: its bytes never change and are verified by their hash, but the primary decides whether it exists.
 * - `derived`: its reader detects damage and looks for the original in addition, so an absence is harmless.
 * - `alias`: never rewritten or removed. The replica is asked only while the primary is away.
 *
 * All other keys change, or decide over others: records, deletion marks, invalidations, events. They are read from the
 * primary alone.
 */
export type ReplicaRead =
  | { readonly kind: 'original'; readonly id: string; readonly deletedKey: string }
  | { readonly kind: 'derived' | 'alias' }

/** @returns undefined for a key that is read from the primary alone. */
export function replicaRead(key: string): ReplicaRead | undefined {
  const [folder, , , id] = key.split('/')
  if (folder === 'originals' && id !== undefined) return { kind: 'original', id, deletedKey: deletedKey(id) }
  if (folder === 'mezzanines') return { kind: 'derived' }
  return folder === 'aliases' ? { kind: 'alias' } : undefined
}
