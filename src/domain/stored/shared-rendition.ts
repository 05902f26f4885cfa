import { createHash } from 'node:crypto'
import { shardedId } from '../identity/image-id.ts'

/** Prefix of the keys of all renditions that nodes share. A lifecycle rule deletes what is below it by its age. */
export const RENDITIONS_PREFIX = 'renditions/'

const DAY_MS = 86_400_000
/** Tolerated differences of the clocks of nodes. */
const CLOCK_SLACK_MS = 3_600_000

/** Terms that all nodes have in common: nodes with others don't find each other's renditions. */
export interface SharingTerms {
  /** Days for which a rendition is found. */
  readonly keepDays: number
  /** `mtimeSeconds` of the rendering pipeline: nodes of another version make other bytes. */
  readonly pipeline: number
}

/**
 * Key of a rendition: `renditions/{day}/{id, sharded}/{pipeline}-{file}`. The day begins a period of `keepDays` days that contains
 * `nowMs`. Each image has periods of its own, so that a reader knows the only key, and each day a part of the images begins anew.
 *
 * @param file Its name in the cache.
 * @param nowMs Milliseconds since 1970.
 * @example sharedRenditionKey('3f2a…', '400w.avif', { keepDays: 30, pipeline: 1599999999 }, nowMs)
 *   // 'renditions/2026-11-18/3f/2a/3f2a…/1599999999-400w.avif'
 */
export function sharedRenditionKey(
  id: string,
  file: string,
  { keepDays, pipeline }: SharingTerms,
  nowMs: number,
): string {
  return `${folderOf(id, keepDays, nowMs)}${pipeline}-${file}`
}

/** Prefixes of the keys of all renditions of an image that a node may find, with the tolerated differences of clocks. */
export function sharedRenditionFolders(id: string, keepDays: number, nowMs: number): readonly string[] {
  const times = [nowMs - CLOCK_SLACK_MS, nowMs, nowMs + CLOCK_SLACK_MS]
  return [...new Set(times.map((time) => folderOf(id, keepDays, time)))]
}

/** Id of the lifecycle rule that scripts/set-lifecycle writes. */
export const LIFECYCLE_RULE = 'darkroom-renditions'

/** Age in days from which no node finds a rendition: for a lifecycle rule, which counts from the write. */
export function lifecycleDays(keepDays: number): number {
  return keepDays + 1
}

/** Keys that sort before this one are of periods that have ended. */
export function firstCurrentDay(keepDays: number, nowMs: number): string {
  return `${RENDITIONS_PREFIX}${dayText(Math.floor((nowMs - CLOCK_SLACK_MS) / DAY_MS) - keepDays + 1)}/`
}

function folderOf(id: string, keepDays: number, nowMs: number): string {
  const today = Math.floor(nowMs / DAY_MS)
  const phase = Number.parseInt(id.slice(-8), 16) % keepDays
  return `${RENDITIONS_PREFIX}${dayText(today - ((today + phase) % keepDays))}/${shardedId(id)}/`
}

function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/** A rendition with how it was made, which is a part of its validators. */
export interface StoredRendition {
  readonly bytes: Buffer
  /** Whether it was rendered in advance: then its mtime is a second later. */
  readonly primed: boolean
}

const HASH_BYTES = 32
const PRIMED = 1
const FOR_A_VIEW = 0

/**
 * The object: the picture, a byte that says whether it was rendered in advance, and the SHA-256 of both after the name. Decoders
 * ignore what follows the picture.
 * @param file Its name in the cache: an object under the name of another one is not accepted.
 */
export function sealRendition(file: string, { bytes, primed }: StoredRendition): Buffer {
  const body = Buffer.concat([bytes, Buffer.from([primed ? PRIMED : FOR_A_VIEW])])
  return Buffer.concat([body, hashOf(file, body)])
}

/** The inverse of `sealRendition`. @returns undefined if the object is damaged, cut, or of another name. */
export function openRendition(file: string, sealed: Buffer): StoredRendition | undefined {
  const body = sealed.subarray(0, Math.max(0, sealed.length - HASH_BYTES))
  const mark = body.at(-1)
  if (mark === undefined || !hashOf(file, body).equals(sealed.subarray(body.length))) return undefined
  return { bytes: body.subarray(0, -1), primed: mark === PRIMED }
}

function hashOf(file: string, body: Buffer): Buffer {
  return createHash('sha256').update(`${file}\n`).update(body).digest()
}
