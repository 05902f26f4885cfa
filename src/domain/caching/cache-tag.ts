import type { OriginalRef } from '../identity/original-ref.ts'
import { encodeKey } from '../url/object-path.ts'

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
