import { isTransientId } from '../identity/image-id.ts'
import type { OriginalRef } from '../identity/original-ref.ts'
import { encodeKey } from '../url/picture-url.ts'
import { fileValidators, renditionCacheControl, type Validators } from './http-caching.ts'

/** What an answer with a picture says to caches. */
export interface PictureCaching {
  readonly cacheControl: string
  readonly validators: Validators
  /** Of that time, how much is over. Whole seconds; absent: the picture never changes. */
  readonly ageSeconds?: number
}

/** The file that is sent. */
export interface PictureFile {
  readonly mtimeSeconds: number
  readonly sizeBytes: number
}

/** The version of the original that it was made of, where the original may change. */
export interface PictureVersion {
  readonly id: string
  readonly modifiedAt?: Date
  /** Ms since 1970. */
  readonly checkedAt: number
  readonly freshness: Freshness
  readonly isFixed: boolean
}

/** @param expiresInSeconds Of the signature; absent: no expiry. */
export function uploadCaching({ mtimeSeconds, sizeBytes }: PictureFile, expiresInSeconds?: number): PictureCaching {
  return {
    cacheControl: renditionCacheControl(expiresInSeconds),
    validators: fileValidators(mtimeSeconds, sizeBytes),
  }
}

/**
 * Two versions of an original may give files of one size, and all files have the same mtime: so the ETag names the version.
 * @param now Ms since 1970.
 */
export function versionCaching(
  file: PictureFile,
  version: PictureVersion,
  now: number,
  expiresInSeconds?: number,
): PictureCaching {
  const { modifiedAt, checkedAt, freshness, isFixed } = version
  const { etag } = fileValidators(file.mtimeSeconds, file.sizeBytes)
  const changedAt = Math.max(file.mtimeSeconds * 1000, modifiedAt?.getTime() ?? 0)
  const validators = {
    etag: `${etag.slice(0, -1)}-${version.id.slice(1, 17)}"`,
    lastModified: new Date(changedAt).toUTCString(),
  }
  if (isTransientId(version.id)) return { cacheControl: 'no-store', validators }
  if (isFixed) return { cacheControl: renditionCacheControl(expiresInSeconds), validators }
  const ageSeconds = Math.max(0, Math.floor((now - checkedAt) / 1000))
  if (expiresInSeconds === undefined) return { cacheControl: formatFreshness(freshness), validators, ageSeconds }
  const maxAge = Math.max(0, Math.min(freshness.freshSeconds, Math.floor(expiresInSeconds) + ageSeconds))
  return { cacheControl: `public, max-age=${maxAge}`, validators, ageSeconds }
}

/** Content delivery networks take tags of about so many characters. */
const MAX_TAG_LENGTH = 1000

/**
 * `Cache-Tag` of everything that is made of an original: by it a content delivery network purges all its sizes at once. An
 * object also has the tag of its bucket, a remote image that of its host.
 */
export function cacheTag(original: OriginalRef): string {
  if (original.kind === 'image') return original.id
  const { group, tag } =
    original.kind === 'object'
      ? { group: original.bucket, tag: `${original.bucket}/${encodeKey(original.key)}` }
      : { group: new URL(original.url).hostname, tag: original.url.replaceAll(',', '%2C') }
  return tag.length > MAX_TAG_LENGTH ? group : `${group},${tag}`
}

/** How long what was learned of an original may be used. Whole seconds. */
export interface Freshness {
  /** Since it was learned; within it nobody is asked. */
  readonly freshSeconds: number
  /** After that: while it is being asked, for those who come meanwhile. */
  readonly staleWhileRevalidateSeconds: number
  /** After the fresh time: while whoever could tell does not answer. */
  readonly staleIfErrorSeconds: number
}

/** `fresh`: nobody is asked. `stale`: good for whoever comes now, while it is being asked. `old`: only if nobody answers. */
export type Age = 'fresh' | 'stale' | 'old' | 'expired'

/** @param ageSeconds Negative when a clock was set back: then nothing is known. */
export function judgeAge(ageSeconds: number, freshness: Freshness): Age {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  if (ageSeconds < 0) return 'old'
  if (ageSeconds < freshSeconds) return 'fresh'
  if (ageSeconds < freshSeconds + staleWhileRevalidateSeconds) return 'stale'
  return ageSeconds < freshSeconds + staleIfErrorSeconds ? 'old' : 'expired'
}

/** The same for caches behind us, beside an `Age` that says how much of it is over. */
function formatFreshness(freshness: Freshness): string {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  const more = [
    staleWhileRevalidateSeconds > 0 && `stale-while-revalidate=${staleWhileRevalidateSeconds}`,
    staleIfErrorSeconds > 0 && `stale-if-error=${staleIfErrorSeconds}`,
  ]
  return ['public', `max-age=${freshSeconds}`, ...more.filter((directive) => directive !== false)].join(', ')
}
