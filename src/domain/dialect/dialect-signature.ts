import { createHmac } from 'node:crypto'
import { RequestError } from '../../errors.ts'

/** How thumbor and imagor sign; both by SHA-1 and in full unless told otherwise. */
export interface ThumborSigning {
  /** Several, so that they can be rotated: all are accepted. */
  readonly keys: readonly string[]
  /** imagor's signer type. */
  readonly hash?: 'sha1' | 'sha256' | 'sha512'
  /** imagor's signer truncate: length of the text that is kept, from 1; absent: all of it. */
  readonly length?: number
}

/** How imgproxy signs. */
export interface ImgproxySigning {
  /** Several, so that they can be rotated: all are accepted. Both texts are hexadecimal. */
  readonly keys: readonly { readonly key: string; readonly salt: string }[]
  /** Bytes of the digest that are kept, 1-32; absent: all 32. */
  readonly sizeBytes?: number
}

/**
 * Every signature of a path that is accepted: base64url with padding of an HMAC.
 * @param path Without the slash in front.
 * @see https://thumbor.readthedocs.io/en/latest/security.html
 */
export function thumborSignatures(path: string, { keys, hash = 'sha1', length }: ThumborSigning): string[] {
  return keys.map((key) => {
    const digest = createHmac(hash, key).update(path).digest('base64')
    return digest.replaceAll('+', '-').replaceAll('/', '_').slice(0, length)
  })
}

/**
 * Every signature of a path that is accepted: base64url of an HMAC-SHA256 over salt and path.
 * @param path With the slash in front.
 * @see https://docs.imgproxy.net/usage/signing_url
 */
export function imgproxySignatures(path: string, { keys, sizeBytes = 32 }: ImgproxySigning): string[] {
  return keys.map(({ key, salt }) =>
    createHmac('sha256', Buffer.from(key, 'hex'))
      .update(Buffer.from(salt, 'hex'))
      .update(path)
      .digest()
      .subarray(0, sizeBytes)
      .toString('base64url'),
  )
}

export function signatureInvalid(reason = 'The signature does not match this URL'): RequestError {
  return new RequestError('signature_invalid', reason)
}
