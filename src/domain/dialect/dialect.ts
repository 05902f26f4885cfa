import { createHmac } from 'node:crypto'
import { RequestError } from '../../errors.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import type { Spec } from '../spec/spec.ts'
import { invalidPath } from '../text/path-text.ts'

/**
 * The format in a URL of another service.
 *
 * - an output format: the URL names it;
 * - `source`: the URL names none, so it is the format of the original if that is an output format. A setting changes
 *   this to negotiation, as in those services;
 * - `negotiated`: it depends on the client's `Accept`.
 */
export type DialectFormat = OutputFormat | 'source' | 'negotiated'

/** The content of a URL of another service. */
export interface DialectRequest<Format = DialectFormat> {
  /** The original as named in the URL, decoded once: see `resolveSource`. */
  readonly source: string
  /** Canonical: equal to the result of `parseSpec` for its spelling. */
  readonly spec: Spec
  readonly format: Format
  /** Expiry of the URL, seconds since 1970: see `assertNotExpired`. */
  readonly expires?: number
  /** Whether browsers save the picture instead of showing it. */
  readonly attachment?: true
  /** File name for saving: any text without control characters, not quoted for a header. */
  readonly fileName?: string
}

/** @throws RequestError `signature_expired`. @param nowSeconds Seconds since 1970. */
export function assertNotExpired({ expires }: Pick<DialectRequest, 'expires'>, nowSeconds: number): void {
  if (expires !== undefined && expires <= nowSeconds) {
    throw new RequestError('signature_expired', 'This URL has expired')
  }
}

const FORMAT_NAMES: ReadonlyMap<string, OutputFormat> = new Map([
  ['jpg', 'jpg'],
  ['jpeg', 'jpg'],
  ['png', 'png'],
  ['webp', 'webp'],
  ['avif', 'avif'],
  ['gif', 'gif'],
])

/**
 * @param option As spelled in the URL, for the message. @throws RequestError `invalid_path` for an unsupported format.
 */
export function dialectFormat(name: string, option: string): OutputFormat {
  const format = FORMAT_NAMES.get(name.toLowerCase())
  if (format === undefined) throw notDone(option, 'supported formats are jpg, png, webp, avif and gif')
  return format
}

/**
 * The error for an unsupported option: ignoring it would give another picture.
 * @param option As spelled in the URL.
 */
export function notDone(option: string, advice?: string): RequestError {
  return invalidPath(`"${option}" is not supported${advice === undefined ? '' : `: ${advice}`}`)
}

/** The error for an option that the other service rejects too. @param option As spelled in the URL. */
export function malformed(option: string, expected: string): RequestError {
  return invalidPath(`"${option}" is malformed: ${expected}`)
}

/** @throws RequestError `invalid_path`. */
export function percentDecode(text: string): string {
  const decoded = tryPercentDecode(text)
  if (decoded === undefined) throw invalidPath(`"${text}" is not correctly percent-encoded`)
  return decoded
}

/** @returns undefined if the text is not correctly percent-encoded. */
export function tryPercentDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    if (cause instanceof URIError) return undefined
    throw cause
  }
}

/** Text in base64url, with or without padding. @throws RequestError `invalid_path`. */
export function base64Decode(text: string): string {
  const decoded = tryBase64Decode(text)
  if (decoded === undefined) throw invalidPath(`"${text}" is not base64url-encoded UTF-8`)
  return decoded
}

function tryBase64Decode(text: string): string | undefined {
  if (!/^[\w-]+={0,2}$/.test(text)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64url'))
  } catch (cause) {
    if (cause instanceof TypeError) return undefined
    throw cause
  }
}

interface Range {
  readonly min: number
  readonly max: number
}

/** @param option As spelled in the URL, for the message. @throws RequestError `invalid_path`. */
export function wholeArgument(text: string, option: string, { min, max }: Range): number {
  const value = Number(text)
  if (!/^\d{1,15}$/.test(text) || value < min || value > max) {
    throw malformed(option, `"${text}" should be an integer from ${min} to ${max}`)
  }
  return value
}

/**
 * A number in decimal digits. @param option As spelled in the URL, for the message. @throws RequestError
 * `invalid_path`.
 */
export function numberArgument(text: string, option: string): number {
  if (!/^-?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})$/.test(text)) throw malformed(option, `"${text}" should be a number`)
  return Number(text)
}

/** 1 to 100. @throws RequestError `invalid_path`. */
export function qualityArgument(text: string, option: string): number {
  return wholeArgument(text, option, { min: 1, max: 100 })
}

/**
 * The sigma of a blur in pixels, to two places.
 *
 * @returns undefined if it is too small to have an effect.
 * @throws RequestError `invalid_path` if it is too large.
 */
export function blurSigma(sigma: number, option: string): number | undefined {
  const rounded = Math.round(sigma * 100) / 100
  if (rounded > 50) throw notDone(option, 'the maximum sigma is 50 pixels')
  return rounded < 0.6 ? undefined : rounded
}

/**
 * A fraction of a side, converted to percent with two decimals, as in a focal point. @throws RequestError
 * `invalid_path`.
 */
export function percentOfSide(text: string, option: string): number {
  const fraction = numberArgument(text, option)
  if (fraction < 0 || fraction > 1) throw malformed(option, `"${text}" should be from 0 to 1`)
  return Math.round(fraction * 10_000) / 100
}

/** Degrees clockwise: 0, 90, 180 or 270. @throws RequestError `invalid_path` for any other angle. */
export function quarterTurn(text: string, option: string): number {
  const degrees = numberArgument(text, option)
  if (degrees % 90 !== 0) throw notDone(option, 'the angle must be 90, 180 or 270 degrees')
  return ((degrees % 360) + 360) % 360
}

/**
 * A file name for downloads: at most 255 characters, without control characters. @throws RequestError `invalid_path`.
 */
export function fileNameArgument(text: string, option: string): string {
  if (text.length > 255 || /\p{Cc}/u.test(text)) {
    throw malformed(option, 'a file name must have at most 255 characters and no control characters')
  }
  return text
}

/** Signatures of thumbor and imagor; by default complete HMAC-SHA1. */
export interface ThumborSigning {
  /** Several keys for rotation: all are accepted. */
  readonly keys: readonly string[]
  /** imagor's signer type. */
  readonly hash?: 'sha1' | 'sha256' | 'sha512'
  /** imagor's signer truncate: length of the signature, from 1; absent: complete. */
  readonly length?: number
}

export interface ImgproxySigning {
  /** Several keys for rotation: all are accepted. Both texts are hexadecimal. */
  readonly keys: readonly { readonly key: string; readonly salt: string }[]
  /** Length of the signature in bytes, 1-32; absent: 32. */
  readonly sizeBytes?: number
}

/**
 * All accepted signatures of a path: base64url with padding of an HMAC.
 * @param path Without the leading slash.
 * @see https://thumbor.readthedocs.io/en/latest/security.html
 */
export function thumborSignatures(path: string, { keys, hash = 'sha1', length }: ThumborSigning): string[] {
  return keys.map((key) => {
    const digest = createHmac(hash, key).update(path).digest('base64')
    return digest.replaceAll('+', '-').replaceAll('/', '_').slice(0, length)
  })
}

/**
 * All accepted signatures of a path: base64url of an HMAC-SHA256 over salt and path.
 * @param path With the leading slash.
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
