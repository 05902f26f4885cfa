import { parseJson } from '../text/json-text.ts'
import type { BatchName } from './outbox-batch.ts'

/**
 * A batch with an earlier time can appear after one with a later time: the clocks of nodes differ, and puts take time. So a
 * cursor has one position for each process that has written lately, and a floor, below which no batch appears any more.
 * It is greater than LATE_MS of the outbox by the allowed difference of clocks, eight minutes.
 */
export const HORIZON_MS = 600_000

/** A position in the feed of events. */
export interface EventCursor {
  /** All batches up to this time have been read. Milliseconds since 1970. */
  readonly floor: number
  /** Time of the last batch that was read, by process; only times after the floor. */
  readonly positions: ReadonlyMap<string, number>
}

const VERSION = 1
const MAX_LENGTH = 8000
const MAX_TIME = 8.64e15

/** Whether the batch has been read. */
export function isRead({ floor, positions }: EventCursor, { time, node }: BatchName): boolean {
  return time <= floor || time <= (positions.get(node) ?? 0)
}

/**
 * The cursor after these batches.
 * @param read In the order of their keys.
 * @param before No batch before this time is unread. Milliseconds since 1970.
 */
export function advance(cursor: EventCursor, read: readonly BatchName[], before: number): EventCursor {
  const floor = Math.max(cursor.floor, before - HORIZON_MS)
  const all = new Map(cursor.positions)
  for (const { node, time } of read) all.set(node, Math.max(time, all.get(node) ?? 0))
  return { floor, positions: new Map([...all].filter(([, time]) => time > floor)) }
}

/** Text for URLs; opaque for clients. */
export function formatCursor({ floor, positions }: EventCursor): string {
  const offsets = Object.fromEntries([...positions].map(([node, time]) => [node, time - floor]))
  return Buffer.from(JSON.stringify([VERSION, floor, offsets])).toString('base64url')
}

/** The inverse of `formatCursor`. @returns undefined for any other text. */
export function parseCursor(text: string): EventCursor | undefined {
  if (text.length > MAX_LENGTH || !/^[\w-]+$/.test(text)) return undefined
  const value = parseJson(Buffer.from(text, 'base64url').toString())
  if (!Array.isArray(value) || value.length !== 3 || value[0] !== VERSION) return undefined
  const parts: readonly unknown[] = value
  const [, floor, offsets] = parts
  if (!isTime(floor) || typeof offsets !== 'object' || offsets === null) return undefined
  const positions = Object.entries(offsets).map(([node, offset]): [string, unknown] => [node, offset])
  const valid = positions.flatMap(([node, offset]): [string, number][] =>
    /^[0-9a-f]{8}$/.test(node) && isTime(offset) && isTime(floor + offset) ? [[node, floor + offset]] : [],
  )
  return valid.length === positions.length ? { floor, positions: new Map(valid) } : undefined
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_TIME
}
