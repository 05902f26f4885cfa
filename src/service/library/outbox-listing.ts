import { type EventCursor, HORIZON_MS, isRead } from '../../domain/stored/event-cursor.ts'
import { type BatchName, batchesSince, OUTBOX_PREFIX, parseBatchKey } from '../../domain/stored/outbox-batch.ts'
import type { ObjectStore } from '../ports/store.ts'

export type ListedBatch = BatchName & { readonly key: string }

export interface UnreadBatches {
  /** In the order of their keys. */
  readonly names: readonly ListedBatch[]
  /** Whether there are no others. */
  readonly isWhole: boolean
  /** All batches that were visible at this time, ms since 1970, have been looked at. */
  readonly lookedAt: number
}

/** Finds the batches that a consumer has not read. */
export interface OutboxListing {
  unread(cursor: EventCursor, limit: number, signal: AbortSignal): Promise<UnreadBatches>
}

/**
 * Under load, the horizon of a cursor has more than ten thousand batches, which take a dozen requests to list. So a long listing is used
 * again for this time, and only its tail is listed. A batch that appears before the tail is found at its end. The part of a listing that
 * is older than the horizon never changes.
 */
const FRESH_MS = 10_000
/** Greater than usual differences of clocks, and than usual puts. */
const TAIL_MS = 30_000
/** A listing of one page costs as much as one of the tail. */
const PAGE_KEYS = 1000
/** Unread batches of a listing, for the next pages of a consumer that is far behind. */
const AHEAD = 2000
/** For consumers at different positions. */
const MAX_WINDOWS = 4

/** The batches after a time. */
interface Window {
  readonly floor: number
  readonly names: ListedBatch[]
  readonly keys: Set<string>
  /** Whether it reaches to the newest batch. */
  readonly isWhole: boolean
  /** Milliseconds since 1970. */
  readonly lookedAt: number
}

/** @param now Milliseconds since 1970. */
export function createOutboxListing(store: Pick<ObjectStore, 'list'>, now: () => number): OutboxListing {
  let windows: readonly Window[] = []

  async function look(cursor: EventCursor, ahead: number, signal: AbortSignal): Promise<Window> {
    const lookedAt = now()
    const names: ListedBatch[] = []
    let unread = 0
    let isWhole = true
    for await (const name of listedSince(store, cursor.floor + 1, signal)) {
      if (!isRead(cursor, name)) {
        isWhole = unread < ahead
        if (!isWhole) break
        unread += 1
      }
      names.push(name)
    }
    return { floor: cursor.floor, names, keys: new Set(names.map(({ key }) => key)), isWhole, lookedAt }
  }

  async function lookAtTail({ names, keys, lookedAt }: Window, signal: AbortSignal): Promise<void> {
    const { size } = keys
    for await (const name of listedSince(store, lookedAt - TAIL_MS, signal)) {
      if (keys.has(name.key)) continue
      keys.add(name.key)
      names.push(name)
    }
    if (keys.size > size) names.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** @returns undefined if another listing is needed. */
  async function unreadIn(window: Window, { cursor, limit }: Wanted, signal: AbortSignal) {
    const isFresh = now() - window.lookedAt < FRESH_MS
    let names = unreadOf(window, cursor)
    if (isFresh && window.isWhole) {
      if (names.length >= limit) return firstOf(window, names, limit)
      await lookAtTail(window, signal)
      return firstOf(window, unreadOf(window, cursor), limit)
    }
    if (!isFresh) names = names.filter(({ time }) => time < window.lookedAt - HORIZON_MS)
    return names.length === 0 ? undefined : firstOf({ ...window, isWhole: false }, names, limit)
  }

  return {
    async unread(cursor, limit, signal) {
      const time = now()
      // The clock may be set back.
      windows = windows.filter(({ lookedAt, isWhole }) => lookedAt <= time && !(isWhole && time - lookedAt >= FRESH_MS))
      for (const window of windows.filter(({ floor }) => floor <= cursor.floor)) {
        const found = await unreadIn(window, { cursor, limit }, signal)
        if (found !== undefined) return found
      }
      const window = await look(cursor, Math.max(limit, AHEAD), signal)
      if (window.names.length > PAGE_KEYS) windows = [window, ...windows].slice(0, MAX_WINDOWS)
      return firstOf(window, unreadOf(window, cursor), limit)
    },
  }
}

interface Wanted {
  readonly cursor: EventCursor
  readonly limit: number
}

async function* listedSince(store: Pick<ObjectStore, 'list'>, time: number, signal: AbortSignal) {
  for await (const key of store.list(OUTBOX_PREFIX, batchesSince(time), signal)) {
    const name = parseBatchKey(key)
    if (name !== undefined) yield { ...name, key }
  }
}

function unreadOf({ names }: Window, cursor: EventCursor): readonly ListedBatch[] {
  return names.filter((name) => !isRead(cursor, name))
}

function firstOf({ isWhole, lookedAt }: Window, names: readonly ListedBatch[], limit: number): UnreadBatches {
  return { names: names.slice(0, limit), isWhole: isWhole && names.length <= limit, lookedAt }
}
