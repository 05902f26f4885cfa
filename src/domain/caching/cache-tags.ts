import { SettingError } from '../../errors.ts'
import { type OriginalRef, resourceId } from '../identity/image-id.ts'
import { encodeKey } from '../url/picture-url.ts'

/** Response headers by which CDNs and caches find all renditions of an original. */
export const CACHE_TAG_HEADERS = ['Cache-Tag', 'Surrogate-Key', 'Edge-Cache-Tag', 'xkey', 'Cache-Groups'] as const
export type CacheTagHeader = (typeof CACHE_TAG_HEADERS)[number]

/** The name of such a header, in any case. @throws SettingError */
export function parseCacheTagHeader(word: string): CacheTagHeader {
  const header = CACHE_TAG_HEADERS.find((name) => name.toLowerCase() === word.toLowerCase())
  if (header !== undefined) return header
  throw new SettingError(`"${word}" should be one of ${CACHE_TAG_HEADERS.join(', ')}`)
}

/** The tag of all renditions of an original. Purges and events name it: the id of an upload, else a `resourceId`. */
export function cacheTag(original: OriginalRef): string {
  if (original.kind === 'image') return original.id
  if (original.kind === 'remote') return resourceId(original)
  // The versions of an object share a tag, as a purge names the key.
  return resourceId({ kind: 'object', bucket: original.bucket, key: original.key })
}

/**
 * Value of a header. Each has the tag. `Cache-Tag` also has names, for purges by hand: the alias of the bucket with the key, or
 * the host and the URL.
 */
export function cacheTagValue(header: CacheTagHeader, original: OriginalRef): string {
  const tag = cacheTag(original)
  if (header === 'Cache-Groups') return `"${tag}"`
  return header === 'Cache-Tag' ? [tag, ...namesOf(original)].join(',') : tag
}

/** CDNs accept tags of about this length, in characters. */
const MAX_NAME_LENGTH = 1000

function namesOf(original: OriginalRef): readonly string[] {
  if (original.kind === 'image') return []
  const { group, name } =
    original.kind === 'object'
      ? { group: original.bucket, name: `${original.bucket}/${encodeKey(original.key)}` }
      : { group: new URL(original.url).hostname, name: original.url.replaceAll(',', '%2C') }
  return name.length > MAX_NAME_LENGTH ? [group] : [group, name]
}
