import { LRUCache } from 'lru-cache'
import type { ReplicaRead } from '../../domain/stored/replica-reads.ts'
import { UnavailableError } from '../../errors.ts'
import type { ObjectStore, OpenObject } from '../../service/ports/store.ts'
import { startDeadline } from '../calls/timed-body.ts'
import { type ReadEndpoint, SILENT_MS, silence } from './read-races.ts'

export type OriginalRead = Extract<ReplicaRead, { kind: 'original' }>

/** Originals of replicas, unless they are deleted. */
export interface ReplicaOriginals {
  /**
   * Opens an original of a replica, and asks the primary at the same time whether it exists.
   * @returns undefined if the replica has none, and the primary cannot tell that there is none.
   * @throws UnavailableError also if the primary cannot be asked, and the original may be a deleted one.
   */
  open(
    replica: ObjectStore,
    read: OriginalRead & { readonly key: string },
    signal: AbortSignal,
  ): Promise<{ readonly found: OpenObject | undefined } | undefined>
  /** For an original of a replica, while the primary cannot be asked. @throws UnavailableError if it may be a deleted one. */
  assertNotDeleted(replica: ObjectStore, read: OriginalRead, signal: AbortSignal): Promise<void>
  /** These images were deleted, which replicas may not know yet. */
  forget(ids: ReadonlySet<string>): void
}

/** Deletions that are remembered: longer than a replica is behind. */
const DELETIONS = { max: 10_000, ttl: 3_600_000 } as const

export function createReplicaOriginals(primary: ReadEndpoint | undefined): ReplicaOriginals {
  const deleted = new LRUCache<string, true>(DELETIONS)

  /** @returns undefined if the primary cannot be asked. */
  async function existsAtPrimary(key: string, signal: AbortSignal): Promise<boolean | undefined> {
    if (primary?.isAside !== false) return undefined
    const { store, suspension } = primary
    const limit = startDeadline(signal, SILENT_MS, silence)
    suspension.called()
    try {
      return (await store.stat(key, limit.signal)) !== undefined
    } catch (error) {
      if (signal.aborted || !(error instanceof UnavailableError)) throw error
      if (limit.signal.aborted) suspension.silent(key)
      return undefined
    } finally {
      limit.stop()
    }
  }

  /** Whether an original that a replica has is, or may be, a deleted one. Asked while the primary cannot be. */
  async function assertNotDeleted(store: ObjectStore, read: OriginalRead, signal: AbortSignal): Promise<void> {
    if (!deleted.has(read.id) && (await store.stat(read.deletedKey, signal)) === undefined) return
    throw new UnavailableError('store_unavailable', 'The object store is unreachable, and a replica may be behind it')
  }

  async function open(
    store: ObjectStore,
    { key, ...read }: OriginalRead & { readonly key: string },
    signal: AbortSignal,
  ) {
    const opening = store.open(key, signal)
    // Both are awaited below.
    opening.catch(() => {})
    const drop = (): Promise<void> => opening.then((object) => void object?.body.destroy())
    try {
      const exists = await existsAtPrimary(key, signal)
      if (exists === false) {
        void drop().catch(() => {})
        return { found: undefined }
      }
      const found = await opening
      if (found && exists === undefined) await assertNotDeleted(store, read, signal)
      return found && { found }
    } catch (error) {
      void drop().catch(() => {})
      throw error
    }
  }

  return {
    open,
    assertNotDeleted,
    forget(ids) {
      for (const id of ids) deleted.set(id, true)
    },
  }
}
