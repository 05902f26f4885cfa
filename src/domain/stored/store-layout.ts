import { shardedId } from '../identity/image-id.ts'
import { INFO_VERSION } from '../info/image-info.ts'
import { MEZZANINE_LEVELS, MEZZANINE_VERSION, type MezzanineLevel } from '../picture/mezzanine.ts'

/** Key of the original's bytes. Never rewritten. */
export function originalKey(id: string): string {
  return `originals/${shardedId(id)}`
}

/** Prefix of the keys of all records. They sort by id. */
export const RECORDS_PREFIX = 'records/'

/** Key of the record. An image exists if it has a record: an original without one was never acknowledged. */
export function recordKey(id: string): string {
  return `${RECORDS_PREFIX}${shardedId(id)}.json`
}

/** Key of the deletion mark, which stays until the same bytes are uploaded again. */
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

/** Prefix of the keys of all objects of a remote image. */
export function remoteFolder(resource: string): string {
  return `remotes/${shardedId(resource)}/`
}

/** Prefixes that divide all remote images into parts of similar size. */
export const REMOTE_PREFIXES: readonly string[] = Array.from(
  { length: 256 },
  (_, index) => `remotes/${index.toString(16).padStart(2, '0')}/`,
)

/**
 * Key of the pointer of a remote original: its current version, and how long that may be used. Objects under `remotes/`
 * may be removed at any time; the node fetches them again.
 */
export function remotePointerKey(resource: string): string {
  return `${remoteFolder(resource)}pointer.json`
}

/** Key of the bytes of one version of a remote original. */
export function remoteOriginalKey(resource: string, version: string): string {
  return `${remoteFolder(resource)}${version}`
}

/** Key of the alias of the image with this SHA-1. Never rewritten or removed. */
export function aliasKey(sha1: string): string {
  return `aliases/${shardedId(sha1)}`
}

/** Prefix of the keys of all stored renditions of a version. */
export function remoteRenditionsPrefix(resource: string, version: string): string {
  return `${remoteOriginalKey(resource, version)}.`
}

/** Key of a rendition of a version. @param file Its name in the cache, after the version of the pipeline. */
export function remoteRenditionKey(resource: string, version: string, file: string): string {
  return `${remoteRenditionsPrefix(resource, version)}${file}`
}

/** Prefix of the keys of all images with a label. @param label By `parseLabels`. */
export function labelPrefix(label: string): string {
  return `labels/${label}/`
}

/** Key of an empty object: the image has the label. */
export function labelKey(label: string, id: string): string {
  return `${labelPrefix(label)}${id}`
}

/** Purges that are not finished. */
export const PURGES_PREFIX = 'purges/'

/** Key of a purge that was accepted. @param name Its time in ms since 1970, and what no other purge has. */
export function purgeKey({ time, name }: { readonly time: number; readonly name: string }): string {
  return `${PURGES_PREFIX}${String(Math.trunc(time)).padStart(15, '0')}-${name}.json`
}

/** Prefix of the keys of all members. */
export const NODES_PREFIX = 'nodes/'

/** Key of the entry of a node. @param name By `isNodeName`. */
export function nodeKey(name: string): string {
  return `${NODES_PREFIX}${name}.json`
}

export const INVALIDATIONS_PREFIX = 'invalidations/'

/** An image, or an original that may change, that all nodes have to invalidate. */
export interface Invalidation {
  /** Id of an image, or a `resourceId`. */
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

/** Content of `deleted/…`, during a deletion and after it. */
export interface DeletionMark {
  /** Milliseconds since 1970. */
  readonly time: number
  /** Whether the deletion has removed everything, and has been reported. */
  readonly finished: boolean
  /** Of its event. Absent in marks of earlier versions: see `markVersion`. */
  readonly version?: number
}

/** A deletion ends within the deadline of its request; a longer one was ended by a crash. */
const LONGEST_DELETION_MS = 60_000

export function formatDeletionMark(mark: DeletionMark): string {
  return JSON.stringify(mark)
}

/** The inverse of `formatDeletionMark`. A text of another shape counts as a finished deletion. */
export function parseDeletionMark(text: string): DeletionMark {
  const { time, finished, version } =
    /"time":(?<time>\d+),"finished":(?<finished>true|false)(?:,"version":(?<version>\d+))?/.exec(text)?.groups ?? {}
  return {
    time: Number(time ?? 0),
    finished: finished !== 'false',
    ...(version !== undefined && { version: Number(version) }),
  }
}

/** Version of the event of a deletion: the image has a greater one if it is uploaded again. */
export function markVersion({ time, version = time }: DeletionMark): number {
  return version
}

/** Whether the deletion may still remove objects that an upload writes now. */
export function isUnderWay({ time, finished }: DeletionMark, nowMs: number): boolean {
  return !finished && Math.abs(nowMs - time) < LONGEST_DELETION_MS
}
