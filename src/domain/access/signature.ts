import { createHmac, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../errors.ts'

/** The parameters of a signed URL. */
export interface Signature {
  /** `s=`: base64url of an HMAC-SHA256, without padding. */
  readonly signature: string
  /** `e=`: expiry, seconds since 1970; absent: never. */
  readonly expires?: number
}

/**
 * Signs a path that `signedPath` returned. The signed text is `path`, or `path?e=<expires>`; `&` if the path has a
 * query.
 * @param key Any string; at least 32 random bytes are recommended.
 */
export function signPath(path: string, key: string, expires?: number): Signature {
  const signature = signText(signedText(path, expires), key)
  return expires === undefined ? { signature } : { signature, expires }
}

function signedText(path: string, expires: number | undefined): string {
  return expires === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}e=${expires}`
}

/** The signature of a text, as in `s=`. */
export type SignText = (text: string, key: string) => string

export const signText: SignText = (text, key) => createHmac('sha256', key).update(text).digest('base64url')

/** The query that carries a signature, without the question mark. */
export function formatSignature({ signature, expires }: Signature): string {
  return expires === undefined ? `s=${signature}` : `e=${expires}&s=${signature}`
}

/**
 * Reads `s=` and `e=`.
 * @throws RequestError `signature_invalid` if there is no signature or a parameter is malformed or given twice.
 */
export function parseSignature(query: URLSearchParams): Signature {
  const [signature, ...moreSignatures] = query.getAll('s')
  const [expires, ...moreExpiries] = query.getAll('e')
  if (signature === undefined)
    throw new RequestError('signature_invalid', 'This image requires a signed URL: the parameter s= is missing')
  if (moreSignatures.length > 0 || moreExpiries.length > 0) {
    throw new RequestError('signature_invalid', 'Specify the parameters s= and e= once each')
  }
  if (expires === undefined) return { signature }
  if (!/^[1-9]\d{0,14}$/.test(expires)) {
    throw new RequestError('signature_invalid', 'The parameter e= should be a Unix time in seconds')
  }
  return { signature, expires: Number(expires) }
}

/**
 * A signature of another path with the same key and the same expiry as the given one.
 *
 * @param from The signed path; `to`: the path to sign.
 * @throws RequestError `signature_invalid` if the given signature matches no key.
 */
export function transferSignature(
  { from, to }: { readonly from: string; readonly to: string },
  given: Signature,
  keys: readonly string[],
): Signature {
  const key = keys.find((each) => isSignedBy(each, from, given))
  if (key === undefined) throw new RequestError('signature_invalid', 'The signature does not match this URL')
  return signPath(to, key, given.expires)
}

/**
 * Accepts a signature made with any of the keys, in constant time for each.
 *
 * @param keys Several, so that they can be rotated: sign with the first, accept all.
 * @param nowSeconds Seconds since 1970.
 * @param sign `signText`, or the same with a cache.
 * @throws RequestError `signature_invalid`, or `signature_expired` if it has expired.
 */
export function assertSignature(
  path: string,
  given: Signature,
  { keys, sign = signText }: { readonly keys: readonly string[]; readonly sign?: SignText },
  nowSeconds: number,
): void {
  const text = signedText(path, given.expires)
  const signatures = keys.map((key) => sign(text, key))
  if (!isOneOf(given.signature, signatures)) {
    throw new RequestError('signature_invalid', 'The signature does not match this URL')
  }
  if (given.expires !== undefined && given.expires <= nowSeconds) {
    throw new RequestError('signature_expired', 'The signature of this URL has expired')
  }
}

function isSignedBy(key: string, path: string, given: Signature): boolean {
  return isOneOf(given.signature, [signPath(path, key, given.expires).signature])
}

/** Whether a text from outside is one of the secrets. The time that this takes depends only on their lengths. */
export function isOneOf(given: string, secrets: readonly string[]): boolean {
  // The text is compared, not its decoded bytes: a decoder skips unknown characters, so a URL would have many valid
  // spellings.
  const bytes = Buffer.from(given)
  const matches = secrets.map((secret) => {
    const expected = Buffer.from(secret)
    return expected.length === bytes.length && timingSafeEqual(expected, bytes)
  })
  return matches.includes(true)
}
