import { shardedId } from '../identity/image-id.ts'
import { INFO_VERSION } from '../info/image-info.ts'
import { MEZZANINE_LEVELS, MEZZANINE_VERSION, type MezzanineLevel } from '../picture/mezzanine.ts'

/** Key of the original's bytes. Never rewritten. */
export function originalKey(id: string): string {
  return `originals/${shardedId(id)}`
}

/** Key of the record. The record is existence: an original without one was never acknowledged. */
export function recordKey(id: string): string {
  return `records/${shardedId(id)}.json`
}

/** Key of the mark that a deletion leaves, until the same bytes are uploaded again. */
export function deletedKey(id: string): string {
  return `deleted/${shardedId(id)}`
}

/** Key of a reduced picture of the original. It can always be made again. */
export function mezzanineKey(id: string, level: MezzanineLevel, version: number = MEZZANINE_VERSION): string {
  return `mezzanines/${shardedId(id)}/${version}-${level}`
}

/** Every key under which this version or an earlier one may have kept a mezzanine. A deletion removes all of them. */
export function mezzanineKeys(id: string, newest: number = MEZZANINE_VERSION): readonly string[] {
  const versions = Array.from({ length: newest }, (_, index) => index + 1)
  return versions.flatMap((version) => MEZZANINE_LEVELS.map((level) => mezzanineKey(id, level, version)))
}

/** Key of what was measured of the original. It can always be measured again. */
export function infoKey(id: string, version: number = INFO_VERSION): string {
  return `infos/${shardedId(id)}/${version}.json`
}

/** Every key under which this version or an earlier one may have kept an info. */
export function infoKeys(id: string): readonly string[] {
  return Array.from({ length: INFO_VERSION }, (_, version) => infoKey(id, version + 1))
}

/** Every object of one remote image has a key that begins so. */
export function remoteFolder(resource: string): string {
  return `remotes/${shardedId(resource)}/`
}

/** Parts of about equal size, which have all remote images between them. */
export const REMOTE_PREFIXES: readonly string[] = Array.from(
  { length: 256 },
  (_, index) => `remotes/${index.toString(16).padStart(2, '0')}/`,
)

/**
 * Key of what is known of a remote original: its present version, and how long that may be used. All under `remotes/` may be
 * removed at any time, for the price of another fetch.
 */
export function remotePointerKey(resource: string): string {
  return `${remoteFolder(resource)}pointer.json`
}

/** Key of the bytes of one version of a remote original. */
export function remoteOriginalKey(resource: string, version: string): string {
  return `${remoteFolder(resource)}${version}`
}

/** Key of the image that was once known by this SHA-1: see `domain/identity/sha1-alias.ts`. Never rewritten, nor removed. */
export function aliasKey(sha1: string): string {
  return `aliases/${shardedId(sha1)}`
}

/** Every rendition of that version that is kept has a key that begins so. */
export function remoteRenditionsPrefix(resource: string, version: string): string {
  return `${remoteOriginalKey(resource, version)}.`
}

/** Key of a rendition of that version. @param file Its name in the cache, with the pipeline's version before it. */
export function remoteRenditionKey(resource: string, version: string, file: string): string {
  return `${remoteRenditionsPrefix(resource, version)}${file}`
}

export const INVALIDATIONS_PREFIX = 'invalidations/'

/** One image, or one original that may change, that every node still has to forget. */
export interface Invalidation {
  /** Of an image, or a `resourceId`. */
  readonly id: string
  /** Milliseconds since 1970, by the clock of the node that deleted. */
  readonly time: number
}

/** Key of an invalidation; keys sort by time. */
export function invalidationKey(invalidation: Invalidation): string {
  return `${invalidationsSince(invalidation.time)}-${invalidation.id}`
}

/** Sorts just before every invalidation key of that time or later. */
export function invalidationsSince(time: number): string {
  return `${INVALIDATIONS_PREFIX}${String(Math.max(0, Math.trunc(time))).padStart(15, '0')}`
}

/** The inverse of `invalidationKey`. @returns undefined for a key of another shape. */
export function parseInvalidationKey(key: string): Invalidation | undefined {
  const { time, id } = /^invalidations\/(?<time>\d{15})-(?<id>r?[0-9a-f]{40})$/.exec(key)?.groups ?? {}
  return time === undefined || id === undefined ? undefined : { time: Number(time), id }
}

/** What stands under `deleted/` while an image is being deleted and after. */
export interface DeletionMark {
  /** Milliseconds since 1970. */
  readonly time: number
  /** True when nothing more will be removed. */
  readonly finished: boolean
}

/** A deletion ends within its request's deadline; one that is under way for longer was left by a crash. */
const LONGEST_DELETION_MS = 60_000

export function formatDeletionMark(mark: DeletionMark): string {
  return JSON.stringify(mark)
}

/** The inverse of `formatDeletionMark`. A text of another shape counts as a finished deletion. */
export function parseDeletionMark(text: string): DeletionMark {
  const { time, finished } = /"time":(?<time>\d+),"finished":(?<finished>true|false)/.exec(text)?.groups ?? {}
  return { time: Number(time ?? 0), finished: finished !== 'false' }
}

/** True if the deletion may still remove what an upload writes now. */
export function isUnderWay({ time, finished }: DeletionMark, nowMs: number): boolean {
  return !finished && Math.abs(nowMs - time) < LONGEST_DELETION_MS
}
