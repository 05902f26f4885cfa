import { parseJson } from '../text/json-text.ts'

export const LEASE_PREFIX = 'relay/lease/'

/** Key of a lease; keys sort by number. */
export function leaseKey(number: number): string {
  return `${LEASE_PREFIX}${String(number).padStart(15, '0')}`
}

/** The inverse of `leaseKey`. @returns undefined for any other key. */
export function parseLeaseKey(key: string): number | undefined {
  const digits = /^relay\/lease\/(?<digits>\d{15})$/.exec(key)?.groups?.['digits']
  return digits === undefined ? undefined : Number(digits)
}

/** Key of the state of a sink. */
export function sinkKey(sink: string): string {
  return `relay/sinks/${sink}.json`
}

/** Key of a request to begin again at an earlier time. */
export function replayKey(sink: string): string {
  return `relay/replay/${sink}.json`
}

/** Key of a batch that the sink did not accept. @param time Milliseconds since 1970. */
export function deadKey(sink: string, time: number, message: string): string {
  return `relay/dead/${sink}/${new Date(time).toISOString()}-${message}.json`
}

/** Progress of a sink, for whichever node has the lease. */
export interface SinkState {
  /** Of the feed: all before it is delivered or dead. */
  readonly cursor: string
  /** Failed attempts at the next batch. */
  readonly attempts: number
  /** Time of the next attempt, ms since 1970. */
  readonly retryAt: number
  /** The sink answered 410: nothing is delivered until a replay. */
  readonly stopped: boolean
  /** Time of this state, ms since 1970. */
  readonly savedAt: number
}

export const NEW_SINK: SinkState = { cursor: '', attempts: 0, retryAt: 0, stopped: false, savedAt: 0 }

export function formatSinkState(state: SinkState): string {
  return JSON.stringify(state)
}

/** The inverse of `formatSinkState`. @returns `NEW_SINK` for anything else: events are repeated rather than lost. */
export function parseSinkState(text: string): SinkState {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return NEW_SINK
  const { cursor, attempts, retryAt, stopped, savedAt }: Record<string, unknown> = { ...value }
  const isValid =
    typeof cursor === 'string' &&
    typeof attempts === 'number' &&
    typeof retryAt === 'number' &&
    typeof savedAt === 'number'
  return isValid ? { cursor, attempts, retryAt, stopped: stopped === true, savedAt } : NEW_SINK
}
