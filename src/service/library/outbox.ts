import { LRUCache } from 'lru-cache'
import type { ImageEvent } from '../../domain/info/image-event.ts'
import { batchKey, formatBatch } from '../../domain/stored/outbox-batch.ts'
import { UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { pause, unlessAborted } from '../tools/coalesce.ts'
import { entryBound } from '../tools/memoize.ts'
import { putBytes } from '../tools/small-object.ts'
import { startTimeLimit, storeTooSlow } from '../tools/time-limit.ts'

/**
 * Writes the events of this process to the store, from which the feed reads them. While one batch is being written, the next
 * one gathers, so that a single event waits for no timer and many share a put.
 */
export interface Outbox {
  /**
   * The event is durable when it returns. An event that this process has written lately is not written again.
   * @throws UnavailableError: the event may be missing, and whatever it reports must not be acknowledged.
   */
  report(event: ImageEvent, signal: AbortSignal): Promise<void>
  /** Whether this process has written the event lately. */
  has(event: ImageEvent): boolean
  readonly counters: OutboxCounters
  /** Resolves when nothing is being written. */
  stop(): Promise<void>
}

export interface OutboxCounters {
  readonly events: number
  readonly batches: number
  /** Batches that could not be written. */
  readonly failures: number
  /** Events that wait for their turn or are being written. */
  readonly waiting: number
  /** Of the oldest of them; 0 without one. */
  readonly oldestSeconds: number
}

export interface OutboxOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 8 hex digits that no other process has. */
  readonly node: string
  /** Called with the events of each batch. */
  readonly onWritten?: (events: readonly ImageEvent[]) => void
}

/** At most; the next events wait for the next batch. */
const BATCH_EVENTS = 500
const MAX_WAITING = 2000
/** From the start of a batch of several events to the start of the next batch. */
const SPACING_MS = 100
/** Latest events that need not be written again. An entry takes about 150 bytes. */
const MAX_REMEMBERED = 10_000
const PUT_TIMEOUT_MS = 20_000
/**
 * A batch that appears this long after the time in its key is written again before it is acknowledged, as the feed may have
 * passed its place: a frozen process or a slow store. With the allowed difference of clocks it is less than the feed's horizon.
 */
export const LATE_MS = 120_000
const ROUNDS = 3
/** A batch is that of many requests: none of them ends it. */
const NEVER = new AbortController().signal

const TROUBLE =
  'Events cannot be written to the object store (outbox/): uploads and deletions are answered 503 until this succeeds'

interface Entry {
  readonly event: ImageEvent
  readonly since: number
  readonly written: PromiseWithResolvers<void>
}

/** @returns A function that writes a batch. It is durable when that returns. */
function createBatchWriter({ store, now, node }: OutboxOptions) {
  let lastTime = 0
  let number = 0

  async function put(events: readonly ImageEvent[], time: number): Promise<void> {
    const limit = startTimeLimit(NEVER, PUT_TIMEOUT_MS, storeTooSlow)
    const bytes = Buffer.from(formatBatch(events))
    number += 1
    // On a full disk, deletions must succeed.
    const forDeletion = events.some(({ type }) => type === 'image.deleted')
    const object = { key: batchKey({ time, node, number }), bytes, contentType: 'text/plain', forDeletion }
    try {
      await putBytes(store, object, limit.signal)
    } finally {
      limit.end()
    }
  }

  return async (events: readonly ImageEvent[]): Promise<void> => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const time = Math.max(now(), lastTime + 1)
      lastTime = time
      const began = performance.now()
      await put(events, time)
      // One clock stops while the machine sleeps, the other may be set.
      if (Math.max(performance.now() - began, now() - time) < LATE_MS) return
    }
    throw storeTooSlow()
  }
}

export function createOutbox(options: OutboxOptions): Outbox {
  const { meter, onWritten } = options
  const write = createBatchWriter(options)
  const remembered = new LRUCache<string, true>(entryBound(MAX_REMEMBERED))
  const entries = new Map<string, Entry>()
  const queue: Entry[] = []
  const counters = { events: 0, batches: 0, failures: 0 }
  let writing: Promise<void> | undefined
  let isFailing = false

  async function settle(batch: readonly Entry[]): Promise<void> {
    const events = batch.map(({ event }) => event)
    try {
      await write(events)
      counters.events += batch.length
      counters.batches += 1
      isFailing = false
      for (const { event, written } of batch) {
        remembered.set(event.id, true)
        written.resolve()
      }
      onWritten?.(events)
    } catch (error) {
      counters.failures += 1
      if (!isFailing) meter.trouble(TROUBLE, error)
      isFailing = true
      for (const { written } of batch) written.reject(error)
    } finally {
      for (const { event } of batch) entries.delete(event.id)
    }
  }

  async function writeAll(): Promise<void> {
    while (queue.length > 0) {
      const began = performance.now()
      const batch = queue.splice(0, BATCH_EVENTS)
      await settle(batch)
      // Only under load: the events of a fast store would otherwise have nearly a put each.
      const isSpaced = batch.length > 1 && queue.length < BATCH_EVENTS
      if (isSpaced) await pause(SPACING_MS - (performance.now() - began), NEVER)
    }
    writing = undefined
  }

  function add(event: ImageEvent): Entry {
    if (entries.size >= MAX_WAITING) {
      throw new UnavailableError('overloaded', 'Too many events wait for the object store; try again')
    }
    const entry = { event, since: performance.now(), written: Promise.withResolvers<void>() }
    // Its caller may have gone.
    entry.written.promise.catch(() => {})
    entries.set(event.id, entry)
    queue.push(entry)
    return entry
  }

  return {
    async report(event, signal) {
      if (remembered.has(event.id)) return
      signal.throwIfAborted()
      const entry = entries.get(event.id) ?? add(event)
      writing ??= writeAll()
      await unlessAborted(entry.written.promise, signal, () => {})
    },
    has: ({ id }) => remembered.has(id),
    get counters() {
      const [oldest] = entries.values()
      const oldestSeconds = oldest === undefined ? 0 : (performance.now() - oldest.since) / 1000
      return { ...counters, waiting: entries.size, oldestSeconds }
    },
    async stop() {
      await writing
    },
  }
}
