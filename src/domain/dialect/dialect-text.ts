import { invalidPath } from '../text/invalid-path.ts'

/** @throws RequestError `invalid_path`. */
export function percentDecode(text: string): string {
  const decoded = tryPercentDecode(text)
  if (decoded === undefined) throw invalidPath(`"${text}" is not correctly percent-encoded`)
  return decoded
}

/** @returns undefined for what is not correctly percent-encoded. */
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
