import type { Freshness } from '../caching/freshness.ts'
import { parseJson } from '../text/json-text.ts'

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
