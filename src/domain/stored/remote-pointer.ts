import { createHash } from 'node:crypto'
import type { Freshness } from '../caching/http-caching.ts'
import { parseJson } from '../text/json-text.ts'
import { remoteFolder, remotePointerKey } from './store-layout.ts'

/** What is known of a remote original, as the store keeps it for all nodes. */
export interface RemotePointer {
  readonly url: string
  /** SHA-256 of the bytes, lower-case hex. */
  readonly sha256: string
  readonly sizeBytes: number
  /** When the host was asked last, ms since 1970. */
  readonly checkedAt: number
  /** When it was last renewed because the image is in use, ms since 1970: see `isDueForTouch`. */
  readonly usedAt?: number | undefined
  readonly freshness: Freshness
  /** As the host sent them. */
  readonly etag?: string | undefined
  readonly lastModified?: string | undefined
}

const TOUCH_EVERY_MS = 7 * 86_400_000

/**
 * A store has no access times. So the pointer of an image in use is rewritten once a week, and those that were written longest
 * ago are the ones that nobody asks for.
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

/** Bytes, and after them their SHA-256: whoever reads them back knows whether they are what was written. */
export function seal(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, hashOf(bytes)])
}

/** The inverse of `seal`. @returns undefined for what is damaged, cut or something else. */
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

/** What the store has of one remote image. */
export interface RemoteFolder {
  /** By `resourceId`. */
  readonly resource: string
  readonly objects: number
  readonly bytes: number
  /** When its pointer was written, ms since 1970; without one, when the last of its other objects was. */
  readonly writtenAt: number
}

/** @returns the `resourceId` of the folder that the object is in; undefined for what is not ours. */
function resourceOf(key: string): string | undefined {
  const resource = /^remotes\/[0-9a-f]{2}\/[0-9a-f]{2}\/(?<resource>r[0-9a-f]{40})\/[^/]+$/.exec(key)?.groups?.[
    'resource'
  ]
  return resource !== undefined && key.startsWith(remoteFolder(resource)) ? resource : undefined
}

export function isRemotePointerKey(key: string, resource: string): boolean {
  return key === remotePointerKey(resource)
}

/** @param objects In bytewise order of their keys, in which those of one image follow each other, its pointer first. */
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
