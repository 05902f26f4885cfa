import { createHash } from 'node:crypto'
import { type EventKey, eventId, eventKey, formatEvent, type ImageEvent, parseEvent } from '../info/image-event.ts'
import { parseJson } from '../text/json-text.ts'

export const OUTBOX_PREFIX = 'outbox/'

/** Identifies a batch of events of one process. */
export interface BatchName {
  /** Milliseconds since 1970 by the clock of that process. No two batches of a process have the same. */
  readonly time: number
  /** 8 hex digits, new at each start. */
  readonly node: string
  /** From 1. */
  readonly number: number
}

/** Key of a batch. Keys sort by time; a folder for each hour keeps a listing of the last minutes short in a file store. */
export function batchKey({ time, node, number }: BatchName): string {
  return `${batchesSince(time)}-${node}-${number}`
}

/** Sorts just before every batch of that time or later. */
export function batchesSince(time: number): string {
  const ms = Math.max(0, Math.trunc(time))
  return `${OUTBOX_PREFIX}${new Date(ms).toISOString().slice(0, 13)}/${String(ms).padStart(15, '0')}`
}

/** The inverse of `batchKey`. @returns undefined for a key of another shape. */
export function parseBatchKey(key: string): BatchName | undefined {
  const found = /^outbox\/[^/]+\/(?<time>\d{15})-(?<node>[0-9a-f]{8})-(?<number>\d{1,15})$/.exec(key)?.groups
  if (found === undefined) return undefined
  const name = { time: Number(found['time']), node: String(found['node']), number: Number(found['number']) }
  return batchKey(name) === key ? name : undefined
}

/**
 * The content of a batch. A damaged byte loses no event: each line has its own checksum, and the last one repeats the keys of
 * all events, by which a damaged one is made again.
 *
 * ```
 * batch = *( event TAB sum LF ) LF keys TAB sum LF
 * event = JSON of an event
 * keys  = JSON array of [ type, subject, version ]
 * sum   = the first 16 hex digits of the SHA-256 of the JSON
 * ```
 */
export function formatBatch(events: readonly ImageEvent[]): string {
  const keys = events.map(({ type, subject, version }) => [type, subject, version])
  return `${events.map((event) => summed(formatEvent(event))).join('')}\n${summed(JSON.stringify(keys))}`
}

/** The content of a batch, as far as it is intact. */
export interface ParsedBatch {
  readonly events: readonly ImageEvent[]
  /** Events whose line is damaged. */
  readonly damaged: readonly EventKey[]
  /** False if there may have been other events, which are lost. */
  readonly isComplete: boolean
}

export function parseBatch(text: string): ParsedBatch {
  const lines = text.split('\n').filter((line) => line !== '')
  const intact = lines.map(unsummed).filter((json) => json !== undefined)
  const events = intact.flatMap((json) => parseEvent(json) ?? [])
  const keys = intact.map(parseKeys).find((found) => found !== undefined)
  if (keys === undefined) {
    // The line of the keys itself is the damaged one.
    const isComplete = lines.length === events.length + 1 && lines.at(-1)?.startsWith('[') === true
    return { events, damaged: [], isComplete }
  }
  const found = new Set(events.map(({ id }) => id))
  return { events, damaged: keys.filter((key) => !found.has(eventId(key))), isComplete: true }
}

function parseKeys(json: string): readonly EventKey[] | undefined {
  const value = parseJson(json)
  if (!Array.isArray(value)) return undefined
  const entries: readonly unknown[] = value
  return entries.flatMap((entry) => {
    const parts: readonly unknown[] = Array.isArray(entry) ? entry : []
    return eventKey(parts[0], parts[1], parts[2]) ?? []
  })
}

function summed(json: string): string {
  return `${json}\t${sumOf(json)}\n`
}

/** @returns The JSON of an intact line. */
function unsummed(line: string): string | undefined {
  const tab = line.lastIndexOf('\t')
  const json = line.slice(0, Math.max(0, tab))
  return tab >= 0 && sumOf(json) === line.slice(tab + 1) ? json : undefined
}

function sumOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, 16)
}
