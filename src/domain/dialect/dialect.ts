import { RequestError } from '../../errors.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import type { Spec } from '../spec/spec.ts'
import { invalidPath } from '../text/path-text.ts'

/**
 * The format that a URL of another service asks for.
 *
 * - one of ours: the URL names it;
 * - `source`: the URL names none, so it is the original's own format, where we make that one. A site may decide that
 *   such URLs are negotiated, which those services have a switch for as well;
 * - `negotiated`: the URL leaves it to the client's `Accept`.
 */
export type DialectFormat = OutputFormat | 'source' | 'negotiated'

/** What a URL in another service's grammar asks for, in our words. */
export interface DialectRequest<Format = DialectFormat> {
  /** Names the original as the URL did, decoded once: see `resolveSource`. */
  readonly source: string
  /** Canonical: what `parseSpec` gives for its own spelling. */
  readonly spec: Spec
  readonly format: Format
  /** Seconds since 1970 after which the URL is refused: see `assertNotExpired`. */
  readonly expires?: number
  /** To be saved rather than shown. */
  readonly attachment?: true
  /** Name under which a browser saves the picture: any text without control characters, not quoted for a header. */
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

/** @param option As the URL spells it, for the message. @throws RequestError `invalid_path` for a format that we don't make. */
export function dialectFormat(name: string, option: string): OutputFormat {
  const format = FORMAT_NAMES.get(name.toLowerCase())
  if (format === undefined) throw notDone(option, 'supported formats are jpg, png, webp, avif and gif')
  return format
}

/**
 * For what the other service does and this one doesn't: refused, since leaving it out would give another picture.
 * @param option As the URL spells it.
 */
export function notDone(option: string, advice?: string): RequestError {
  return invalidPath(`"${option}" is not supported${advice === undefined ? '' : `: ${advice}`}`)
}

/** For what the other service would not understand either. @param option As the URL spells it. */
export function malformed(option: string, expected: string): RequestError {
  return invalidPath(`"${option}" is malformed: ${expected}`)
}
