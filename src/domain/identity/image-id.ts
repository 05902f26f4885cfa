const HEX_DIGITS = 40
/** Matches an id, in JavaScript and in nginx.conf. */
export const IMAGE_ID_PATTERN = `[0-9a-f]{${HEX_DIGITS}}`
const IMAGE_ID = new RegExp(`^${IMAGE_ID_PATTERN}$`)

/**
 * The id of an original: the first 40 hex digits of the SHA-256 of its bytes, in lower case. The same bytes have the same
 * id everywhere, so whoever holds the bytes can check the name.
 *
 * @param sha256 Hex digest of the whole original.
 */
export function imageIdFromSha256(sha256: string): string {
  return sha256.slice(0, HEX_DIGITS).toLowerCase()
}

/** True for 40 lower-case hex digits. */
export function isImageId(text: string): boolean {
  return IMAGE_ID.test(text)
}

/**
 * Two levels of 256 folders in front of an id, so that millions of ids make no huge folder.
 * @example shardedId('3f2a…') // '3f/2a/3f2a…'
 * @example shardedId('v3f2a…') // '3f/2a/v3f2a…'
 */
export function shardedId(id: string): string {
  const hex = id.slice(-HEX_DIGITS)
  return `${hex.slice(0, 2)}/${hex.slice(2, 4)}/${id}`
}

/** What stands under `aliases/<sha1>`: our id of the image that a client may know by the SHA-1 of its bytes. */
export function formatAlias(id: string): string {
  return id
}

/** The inverse of `formatAlias`. @returns undefined for anything that is no alias. */
export function parseAlias(text: string): string | undefined {
  const id = text.trimEnd()
  return isImageId(id) ? id : undefined
}
