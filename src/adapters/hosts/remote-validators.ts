import type { RemoteValidators } from '../../service/ports/remote.ts'
import type { RemoteHeaders } from './remote-freshness.ts'

/** Those that can be sent back: a malformed one is none, and `*` would fit any image. */
export function readValidators({ etag, 'last-modified': lastModified }: RemoteHeaders): RemoteValidators {
  return {
    ...(isEntityTag(etag) && { etag }),
    ...(isDate(lastModified) && { lastModified }),
  }
}

/** Headers that ask for an answer only if it is not the one we know. */
export function conditionalHeaders({ etag, lastModified }: RemoteValidators): Readonly<Record<string, string>> {
  return {
    ...(isEntityTag(etag) && { 'if-none-match': etag }),
    ...(isDate(lastModified) && { 'if-modified-since': lastModified }),
  }
}

function isEntityTag(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && value.length <= 512 && /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(value)
}

function isDate(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9,: -]{1,64}$/.test(value) && !Number.isNaN(Date.parse(value))
}
