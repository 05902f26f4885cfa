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

/** For what the other service would not understand either. @param option As spelled in the URL. */
export function malformed(option: string, expected: string): RequestError {
  return invalidPath(`"${option}" is malformed: ${expected}`)
}
