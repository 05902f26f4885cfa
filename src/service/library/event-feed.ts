import pLimit from 'p-limit'
import type { ImageEvent } from '../../domain/info/image-event.ts'
import { advance, type EventCursor, formatCursor, parseCursor } from '../../domain/stored/event-cursor.ts'
import { type BatchName, batchesSince, OUTBOX_PREFIX } from '../../domain/stored/outbox-batch.ts'
import { CursorExpiredError, RequestError, UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { type BatchReader, createBatchReader } from './batch-reader.ts'
import { createOutboxListing, type ListedBatch } from './outbox-listing.ts'

/** The events of all nodes, in about the order of their time, for consumers that remember a cursor. */
export interface EventFeed {
  /**
   * Events after a cursor, whole batches. Without new ones it waits for some.
   * @throws RequestError `invalid_cursor`; CursorExpiredError; UnavailableError
   */
  read(request: FeedRequest, signal: AbortSignal): Promise<FeedPage>
  /** This process has written a batch. */
  wake(): void
  /** Removes batches older than the retention from the store. */
  trim(signal: AbortSignal): Promise<void>
  readonly counters: FeedCounters
  /** Ends the waits. */
  stop(): void
}

export interface FeedRequest {
  /** By an earlier page. Empty: the oldest event. */
  readonly after: string
  /** No further batch is added when a page has so many events. */
  readonly limit: number
  readonly waitMs: number
  /** Only batches before this time, ms since 1970. Absent: all. */
  readonly before?: number
}

type Looked = Pick<FeedRequest, 'limit' | 'before'>

export interface FeedPage {
  readonly events: readonly ImageEvent[]
  /** For the next request. */
  readonly cursor: string
}

export interface FeedCounters {
  readonly waiting: number
  readonly damagedBatches: number
  /** Batches from which events may be missing. */
  readonly incompleteBatches: number
}

export interface EventFeedOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Batches are kept for this time. */
  readonly keepMs: number
}

/** Interval of listings while a request waits. A batch of this process ends the wait at once. */
const POLL_MS = 1000
const MAX_WAITING = 64
/** Batches that are read at the same time. */
const AT_ONCE = 16
/** Batches are deleted later than cursors expire, so that no page misses one that is being deleted. */
const TRIM_SLACK_MS = 3_600_000
const REMOVED_AT_ONCE = 8

export function createEventFeed({ store, meter, now, keepMs }: EventFeedOptions): EventFeed {
  const reader = createBatchReader(store, meter)
  const listing = createOutboxListing(store, now)
  const pause = createPause()

  function cursorOf(text: string): EventCursor {
    const oldest = { floor: Math.max(0, now() - keepMs), positions: new Map<string, number>() }
    if (text === '') return oldest
    const cursor = parseCursor(text)
    if (cursor === undefined) {
      throw new RequestError(
        'invalid_cursor',
        'Invalid cursor: take "after" from the Link header of an earlier response',
      )
    }
    if (cursor.floor < now() - keepMs - TRIM_SLACK_MS / 2) throw new CursorExpiredError(formatCursor(oldest))
    return cursor
  }

  async function look(cursor: EventCursor, { limit, before = Infinity }: Looked, signal: AbortSignal) {
    const { names: unread, isWhole, lookedAt } = await listing.unread(cursor, limit, signal)
    const names = unread.filter(({ time }) => time < before)
    const { events, read } = await readInOrder(reader, { names, limit }, signal)
    const isDrained = isWhole && read.length === unread.length
    // A node whose clock is ahead must not hide the batches of the others.
    const readUntil = Math.min(lookedAt, isDrained ? lookedAt : (read.at(-1)?.time ?? 0))
    return { events, cursor: advance(cursor, read, readUntil) }
  }

  return {
    async read({ after, waitMs, ...looked }, signal) {
      const until = performance.now() + waitMs
      let cursor = cursorOf(after)
      for (;;) {
        const found = await look(cursor, looked, signal)
        const restMs = until - performance.now()
        if (found.events.length > 0 || restMs <= 0 || pause.isOver) {
          return { events: found.events, cursor: formatCursor(found.cursor) }
        }
        cursor = found.cursor
        await pause.wait(Math.min(restMs, POLL_MS), signal)
      }
    },
    wake: pause.wake,
    async trim(signal) {
      const oldest = batchesSince(now() - keepMs - TRIM_SLACK_MS)
      const limit = pLimit(REMOVED_AT_ONCE)
      let removals: Promise<void>[] = []
      for await (const key of store.list(OUTBOX_PREFIX, '', signal)) {
        if (key >= oldest) break
        removals.push(limit(() => store.remove(key, signal)))
        if (removals.length < 1000) continue
        await Promise.all(removals)
        removals = []
      }
      await Promise.all(removals)
    },
    get counters() {
      return { ...reader.counters, waiting: pause.waiting }
    },
    stop: pause.stop,
  }
}

interface WantedBatches {
  readonly names: readonly ListedBatch[]
  readonly limit: number
}

async function readInOrder(reader: BatchReader, { names, limit }: WantedBatches, signal: AbortSignal) {
  const events: ImageEvent[] = []
  const read: BatchName[] = []
  for (let at = 0; at < names.length && events.length < limit; at += AT_ONCE) {
    const some = names.slice(at, at + AT_ONCE)
    const batches = await Promise.all(some.map(({ key }) => reader.read(key, signal)))
    for (const [index, batch] of batches.entries()) {
      if (events.length >= limit) break
      events.push(...batch)
      read.push(...some.slice(index, index + 1))
    }
  }
  return { events, read }
}

/** Waits that end early if there may be something new. */
function createPause() {
  const enders = new Set<() => void>()
  let isOver = false
  const wake = (): void => {
    for (const end of enders) end()
  }
  return {
    wake,
    get isOver() {
      return isOver
    },
    get waiting() {
      return enders.size
    },
    stop() {
      isOver = true
      wake()
    },
    async wait(ms: number, signal: AbortSignal): Promise<void> {
      if (enders.size >= MAX_WAITING) {
        throw new UnavailableError('overloaded', 'Too many requests wait for events; use wait=0')
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      const end = (): void => resolve()
      const timer = setTimeout(end, ms)
      enders.add(end)
      signal.addEventListener('abort', end, { once: true })
      await promise
      clearTimeout(timer)
      enders.delete(end)
      signal.removeEventListener('abort', end)
      signal.throwIfAborted()
    },
  }
}
