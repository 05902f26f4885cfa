import { createHash } from 'node:crypto'
import { parseJson } from '../text/json-text.ts'
import { fileName } from './image-labels.ts'
import type { ImageRecord } from './image-record.ts'

export const EVENT_TYPES = ['image.stored', 'image.deleted', 'image.purged', 'image.rejected'] as const
export type EventType = (typeof EVENT_TYPES)[number]
/** After these, caches outside must forget the image. */
export const CACHE_EVENTS: readonly EventType[] = ['image.deleted', 'image.purged']

/** What identifies an event. */
export interface EventKey {
  readonly type: EventType
  /** Id of the image; of a purged object or remote image its `resourceId`; of a rejected file its path. */
  readonly subject: string
  /** Rises with each event of the same image. Milliseconds since 1970, for the order only. */
  readonly version: number
}

/** Reported to the consumers of the feed at least once. */
export interface ImageEvent extends EventKey {
  /** Of the key: a repeated report has the same id. */
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

/** An image was stored. A repeated upload of the same bytes gives the same event, unless the image was deleted between. */
export function storedEvent(record: ImageRecord): ImageEvent {
  return imageEvent({ type: 'image.stored', subject: record.id, version: recordVersion(record) }, { ...record })
}

/** An image was deleted. @param version Greater than that of the image. */
export function deletedEvent(id: string, version: number): ImageEvent {
  return imageEvent({ type: 'image.deleted', subject: id, version }, { id, deletedAt: isoTime(version) })
}

/** All nodes forget what they keep of an original, which may be unknown or unchanged. @param id Of an upload, or a `resourceId`. */
export function purgedEvent(id: string, version: number): ImageEvent {
  return imageEvent({ type: 'image.purged', subject: id, version }, { id, purgedAt: isoTime(version) })
}

/** A file that an unattended entry point did not accept. */
export interface RejectedFile {
  /** Relative to the folder of the entry point. */
  readonly path: string
  /** As in `UploadDetails`. */
  readonly source: string
  readonly labels: readonly string[]
  /** Size of the file. */
  readonly bytes: number
  /** Code and message of the error. */
  readonly error: string
  readonly message: string
  /** Arrival of the file, ms since 1970: a repeated report has the same. */
  readonly arrivedAt: number
}

/** For unattended entry points, where no client receives the error. */
export function rejectedEvent({ path, arrivedAt, ...rest }: RejectedFile): ImageEvent {
  const key = { type: 'image.rejected', subject: path, version: Math.trunc(arrivedAt) } as const
  return imageEvent(key, { name: fileName(path), ...rest, arrivedAt: isoTime(arrivedAt) })
}

function imageEvent(key: EventKey, data: ImageEvent['data']): ImageEvent {
  return { id: eventId(key), ...key, data }
}

/** A rejected file of which no more is known. */
export function keyEvent(key: EventKey): ImageEvent {
  return imageEvent(key, { name: fileName(key.subject) })
}

/** 32 hex digits. */
export function eventId({ type, subject, version }: EventKey): string {
  return createHash('sha256')
    .update(JSON.stringify([type, subject, version]))
    .digest('hex')
    .slice(0, 32)
}

/** Version of the image after its upload. */
export function recordVersion({ uploadedAt }: ImageRecord): number {
  const version = Date.parse(uploadedAt)
  return Number.isNaN(version) ? 0 : version
}

/** Time of a version, ISO 8601, UTC. */
export function isoTime(version: number): string {
  return new Date(version).toISOString()
}

export type CloudEvent = ReturnType<typeof cloudEvent>

/** The event in the format of CloudEvents 1.0. @param source Base of the URLs of images. */
export function cloudEvent({ id, type, subject, version, data }: ImageEvent, source: string) {
  const time = isoTime(version)
  const fixed = { specversion: '1.0', datacontenttype: 'application/json' } as const
  return { ...fixed, id, source, type, subject, time, data: { version, ...data } }
}

/** As stored; the id is computed again. */
export function formatEvent({ type, subject, version, data }: ImageEvent): string {
  return JSON.stringify({ type, subject, version, data })
}

/** The inverse of `formatEvent`. @returns undefined if the text is not an event. */
export function parseEvent(text: string): ImageEvent | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { type, subject, version, data }: Record<string, unknown> = { ...value }
  const key = eventKey(type, subject, version)
  return key === undefined || typeof data !== 'object' || data === null ? undefined : imageEvent(key, { ...data })
}

/** @returns undefined if the values are not those of a key. */
export function eventKey(type: unknown, subject: unknown, version: unknown): EventKey | undefined {
  const known = EVENT_TYPES.find((each) => each === type)
  if (known === undefined || typeof subject !== 'string') return undefined
  if (typeof version !== 'number' || !Number.isSafeInteger(version)) return undefined
  return { type: known, subject, version }
}
