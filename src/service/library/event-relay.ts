import { pauseAfter, type SinkMessage, sinkMessage } from '../../domain/info/sink-message.ts'
import { NEW_SINK, type SinkState } from '../../domain/stored/relay-state.ts'
import { CursorExpiredError, RemoteError, ServiceError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { Sink, SinkRefusal, SinkSender } from '../ports/sink.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { pause } from '../tools/coalesce.ts'
import { startTimeLimit } from '../tools/time-limit.ts'
import type { EventFeed, FeedPage } from './event-feed.ts'
import type { RelayLease } from './relay-lease.ts'
import { createSinkProgress } from './sink-progress.ts'

/** Delivers the events of the feed to sinks, if this node has the lease. */
export interface EventRelay {
  /** To be called every second. Deliveries go on in the background. */
  tick(signal: AbortSignal): Promise<void>
  /** There may be events to deliver: begins at once, if this node has the lease, but at most 20 times a second. */
  wake(): void
  /** Whether a delivery is in progress. */
  readonly isBusy: boolean
  readonly counters: RelayCounters
  stop(): Promise<void>
}

export interface RelayCounters {
  readonly isHolder: boolean
  readonly delivered: number
  readonly failedAttempts: number
  readonly deadLetters: number
  /** Age of the oldest event that waits for an attempt at any sink; 0 if none does. */
  readonly lagSeconds: number
}

export interface EventRelayOptions<S extends Sink> {
  readonly sinks: readonly S[]
  readonly sender: SinkSender<S>
  readonly lease: RelayLease
  readonly feed: Pick<EventFeed, 'read'>
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Base of the URLs of images. */
  readonly eventSource: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
}

/** Events of a message, unless one batch has more. */
const MESSAGE_EVENTS = 100
/** The same for a sink that receives some types of events only. */
const FILTERED_EVENTS = 500
/**
 * A state of a sink that is not older need not be read again: another node cannot have had the lease meanwhile. A look begins with the
 * state in the store.
 */
const STATE_FRESH_MS = 2000
const WAKE_SPACING_MS = 50
const SEND_TIMEOUT_MS = 20_000
/** The cursor of a sink without events must not expire. */
const SAVE_EVERY_MS = 3_600_000

export function createEventRelay<S extends Sink>(options: EventRelayOptions<S>): EventRelay {
  const { sinks, lease, meter, now } = options
  const background = createBackground()
  const busy = new Set<string>()
  /** Sinks that were woken while a delivery to them was in progress. */
  const woken = new Set<string>()
  const oldest = new Map<string, number>()
  const counters = { delivered: 0, failedAttempts: 0, deadLetters: 0 }
  const delivery = createDelivery(options, { oldest, counters, signal: background.signal })

  async function deliver(sink: S, stateAgeMs: number): Promise<void> {
    if (busy.has(sink.name)) return void woken.add(sink.name)
    busy.add(sink.name)
    try {
      let isMore = lease.isHeld && (await delivery.next(sink, stateAgeMs))
      while ((isMore || woken.delete(sink.name)) && lease.isHeld) isMore = await delivery.next(sink, STATE_FRESH_MS)
    } catch (error) {
      if (!background.signal.aborted)
        meter.trouble(`Events could not be delivered to the sink "${sink.name}"; the next attempt follows`, error)
    } finally {
      busy.delete(sink.name)
    }
  }

  const deliverTo = (some: readonly S[], stateAgeMs: number): void => {
    for (const sink of some) background.track(deliver(sink, stateAgeMs))
  }

  const prompt = sinks.filter(({ delayMs }) => delayMs === undefined)
  let wokenAt = -Infinity
  let isWaking = false
  function wake(): void {
    if (isWaking || !lease.isHeld) return
    const restMs = wokenAt + WAKE_SPACING_MS - performance.now()
    isWaking = restMs > 0
    if (isWaking) return background.track(pause(restMs, background.signal).then(wakeNow, () => {}))
    wakeNow()
  }
  function wakeNow(): void {
    isWaking = false
    wokenAt = performance.now()
    deliverTo(prompt, STATE_FRESH_MS)
  }

  return {
    async tick(signal) {
      if (sinks.length === 0) return
      await lease.look(signal)
      if (lease.isHeld) deliverTo(sinks, 0)
      else oldest.clear()
    },
    wake,
    get isBusy() {
      return busy.size > 0
    },
    get counters() {
      const lagMs = oldest.size === 0 ? 0 : now() - Math.min(...oldest.values())
      return { ...counters, isHolder: sinks.length > 0 && lease.isHeld, lagSeconds: Math.max(0, lagMs / 1000) }
    },
    stop: background.stop,
  }
}

interface DeliveryState {
  /** Version of the oldest event that waits, by sink. */
  readonly oldest: Map<string, number>
  readonly counters: { delivered: number; failedAttempts: number; deadLetters: number }
  readonly signal: AbortSignal
}

interface Failure {
  readonly refusal?: SinkRefusal
  readonly cause?: unknown
}

interface Attempted<S extends Sink> {
  readonly sink: S
  readonly state: SinkState
  readonly message: SinkMessage
  /** Cursor after the message. */
  readonly cursor: string
}

function createDelivery<S extends Sink>(options: EventRelayOptions<S>, { oldest, counters, signal }: DeliveryState) {
  const { lease, feed, store, meter, eventSource, now, random } = options
  const progress = createSinkProgress(store, now)

  async function nextPage(sink: S, after: string): Promise<FeedPage> {
    const wanted = {
      limit: sink.types ? FILTERED_EVENTS : MESSAGE_EVENTS,
      waitMs: 0,
      ...(sink.delayMs !== undefined && { before: now() - sink.delayMs }),
    }
    try {
      return await feed.read({ ...wanted, after }, signal)
    } catch (error) {
      if (!(error instanceof CursorExpiredError)) throw error
      const effect = 'compare its images with GET /images'
      meter.trouble(`Events for the sink "${sink.name}" are no longer kept (EVENTS_KEEP_DAYS); ${effect}`, error)
      return await feed.read({ ...wanted, after: error.oldest }, signal)
    }
  }

  async function failed({ sink, state, message, cursor }: Attempted<S>, { refusal, cause }: Failure): Promise<void> {
    const attempts = state.attempts + 1
    counters.failedAttempts += 1
    const reason = refusal ? `answered ${refusal.status}` : cause instanceof ServiceError ? cause.message : 'failed'
    if (refusal?.status === 410 && !sink.isCdn) {
      meter.trouble(`The sink "${sink.name}" answered 410: deliveries wait for scripts/replay ${sink.name}`, cause)
      return await progress.save(sink, { ...state, stopped: true }, signal)
    }
    const pauseMs = pauseAfter({ attempts, ...refusal, isCdn: sink.isCdn === true }, random())
    if (pauseMs !== undefined) {
      if (attempts === 1) meter.trouble(`A delivery to the sink "${sink.name}" is repeated: ${reason}`, cause)
      return await progress.save(sink, { ...state, attempts, retryAt: now() + pauseMs }, signal)
    }
    const key = await progress.bury(sink, message, signal)
    counters.deadLetters += 1
    meter.trouble(`The sink "${sink.name}" accepted none of ${attempts} attempts (${reason}): ${key}`, cause)
    return await progress.save(sink, { ...NEW_SINK, cursor }, signal)
  }

  return {
    /** Delivers the next message. @returns Whether there may be more to deliver now. */
    async next(sink: S, stateAgeMs: number): Promise<boolean> {
      const state = await progress.load(sink, stateAgeMs, signal)
      const isPausing = state.retryAt > now()
      // After a restart, the age of what waits is not known.
      if (state.stopped || (isPausing && oldest.has(sink.name))) return false
      const page = await nextPage(sink, state.cursor)
      const { cursor } = page
      const events = page.events.filter(({ type }) => sink.types?.includes(type) ?? true)
      const [first] = events
      if (first === undefined) {
        oldest.delete(sink.name)
        const hasPassed = page.events.length > 0
        if (hasPassed || now() - state.savedAt > SAVE_EVERY_MS) await progress.save(sink, { ...state, cursor }, signal)
        return hasPassed
      }
      oldest.set(sink.name, first.version + (sink.delayMs ?? 0))
      if (isPausing) return false
      const message = sinkMessage(events, eventSource)
      // Also after a freeze of this process, at whatever point.
      if (!lease.isHeld) return false
      const failure = await attempt(options, { sink, message }, signal)
      // The progress is another node's by now: an older cursor would repeat all that it has delivered since.
      if (!lease.isHeld) return false
      if (failure !== undefined) {
        await failed({ sink, state, message, cursor }, failure)
        return false
      }
      counters.delivered += events.length
      await progress.save(sink, { ...NEW_SINK, cursor }, signal)
      return true
    },
  }
}

/** @returns undefined for a success. */
async function attempt<S extends Sink>(
  { sender }: Pick<EventRelayOptions<S>, 'sender'>,
  { sink, message }: Pick<Attempted<S>, 'sink' | 'message'>,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const limit = startTimeLimit(
    signal,
    SEND_TIMEOUT_MS,
    () => new RemoteError('remote_failed', `no answer within ${SEND_TIMEOUT_MS / 1000} s`),
  )
  try {
    const refusal = await sender.send(sink, message, limit.signal)
    return refusal && { refusal }
  } catch (cause) {
    signal.throwIfAborted()
    return { cause }
  } finally {
    limit.end()
  }
}
