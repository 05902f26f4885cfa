import { createHash } from 'node:crypto'
import type { Freshness } from '../caching/http-caching.ts'
import { parseJson } from '../text/json-text.ts'
import { remoteFolder, remotePointerKey } from './store-layout.ts'

/** The state of a remote original, stored for all nodes. */
export interface RemotePointer {
  readonly url: string
  /** SHA-256 of the bytes, lower-case hex. */
  readonly sha256: string
  readonly sizeBytes: number
  /** Time of the last check with the host, ms since 1970. */
  readonly checkedAt: number
  /** Time of the last renewal because the image is in use, ms since 1970: see `isDueForTouch`. */
  readonly usedAt?: number | undefined
  readonly freshness: Freshness
  /** The headers of the host. */
  readonly etag?: string | undefined
  readonly lastModified?: string | undefined
}

const TOUCH_EVERY_MS = 7 * 86_400_000

/**
 * A store has no access times. So the pointer of an image in use is rewritten once a week, and the oldest pointers are
 * those of the least recently used images.
 */
export function isDueForTouch(
  { checkedAt, usedAt = 0 }: Pick<RemotePointer, 'checkedAt' | 'usedAt'>,
  now: number,
): boolean {
  return now - Math.max(checkedAt, usedAt) >= TOUCH_EVERY_MS
}

export function formatRemotePointer(pointer: RemotePointer): string {
  return JSON.stringify(pointer)
}

/** The inverse of `formatRemotePointer`. @returns undefined for anything else. */
export function parseRemotePointer(text: string): RemotePointer | undefined {
  const value = parseJson(text)
  return isPointer(value) ? value : undefined
}

function isPointer(value: unknown): value is RemotePointer {
  if (typeof value !== 'object' || value === null) return false
  const field = (name: string): unknown => Reflect.get(value, name)
  const texts = [field('url'), field('sha256')]
  const optional = [field('etag'), field('lastModified')]
  return (
    texts.every((text) => typeof text === 'string') &&
    optional.every((text) => text === undefined || typeof text === 'string') &&
    isCount(field('sizeBytes')) &&
    isCount(field('checkedAt')) &&
    (field('usedAt') === undefined || isCount(field('usedAt'))) &&
    isFreshness(field('freshness'))
  )
}

function isFreshness(value: unknown): value is Freshness {
  if (typeof value !== 'object' || value === null) return false
  const names = ['freshSeconds', 'staleWhileRevalidateSeconds', 'staleIfErrorSeconds']
  return names.every((name) => isCount(Reflect.get(value, name)))
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

const HASH_BYTES = 32

/** Bytes followed by their SHA-256, so that damage is detected when they are read. */
export function seal(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, hashOf(bytes)])
}

/** The inverse of `seal`. @returns undefined if the bytes are damaged. */
export function openSealed(sealed: Buffer): Buffer | undefined {
  const bytes = sealed.subarray(0, Math.max(0, sealed.length - HASH_BYTES))
  return hashOf(bytes).equals(sealed.subarray(bytes.length)) ? bytes : undefined
}

function hashOf(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** An object below `remotes/`. */
export interface RemoteObject {
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

/** The objects of one remote image in the store. */
export interface RemoteFolder {
  /** By `resourceId`. */
  readonly resource: string
  readonly objects: number
  readonly bytes: number
  /** Time of its pointer, ms since 1970; without a pointer, that of the newest other object. */
  readonly writtenAt: number
}

/** @returns the `resourceId` of the object's folder; undefined for an unknown key. */
function resourceOf(key: string): string | undefined {
  const resource = /^remotes\/[0-9a-f]{2}\/[0-9a-f]{2}\/(?<resource>r[0-9a-f]{40})\/[^/]+$/.exec(key)?.groups?.[
    'resource'
  ]
  return resource !== undefined && key.startsWith(remoteFolder(resource)) ? resource : undefined
}

export function isRemotePointerKey(key: string, resource: string): boolean {
  return key === remotePointerKey(resource)
}

/** @param objects In bytewise order of their keys, which groups them by image, with its pointer first. */
export async function* remoteFolders(objects: AsyncIterable<RemoteObject>): AsyncIterable<RemoteFolder> {
  let folder: RemoteFolder | undefined
  let hasPointer = false
  for await (const { key, sizeBytes, modifiedAt } of objects) {
    const resource = resourceOf(key)
    if (resource === undefined) continue
    const writtenAt = modifiedAt.getTime()
    if (folder?.resource !== resource) {
      if (folder) yield folder
      folder = { resource, objects: 0, bytes: 0, writtenAt }
      hasPointer = isRemotePointerKey(key, resource)
    }
    folder = {
      resource,
      objects: folder.objects + 1,
      bytes: folder.bytes + sizeBytes,
      writtenAt: hasPointer ? folder.writtenAt : Math.max(folder.writtenAt, writtenAt),
    }
  }
  if (folder) yield folder
}
