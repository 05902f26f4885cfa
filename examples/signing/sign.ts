// Signs URLs of Darkroom for SIZE_POLICY=signed; docs/signing.md describes the algorithm. Copy the functions that you need.
// Self-test, with Node 22.18 or newer: node sign.ts vectors.json
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

/**
 * Signs a URL in its canonical spelling, without scheme and host.
 * @param key The first key of URL_KEYS.
 * @param expires Unix time in seconds; absent: never.
 * @example signUrl('/image/3f2a…/400w/cat.webp', key, Math.floor(Date.now() / 1000) + 3600)
 */
export function signUrl(url: string, key: string, expires?: number): string {
  const separator = url.includes('?') ? '&' : '?'
  const expiry = expires === undefined ? '' : `${separator}e=${expires}`
  const text = url.replace(NAME_AND_FORMAT, '$1/.$2$3') + expiry
  const signature = createHmac('sha256', key).update(text).digest('base64url')
  return `${url}${expiry}${expiry === '' ? separator : '&'}s=${signature}`
}

const NAME_AND_FORMAT = /^((?:\/image\/[^/?]+|\/s3\/[^?]+\/-)\/[^/?]+?)(?:\/[^/?]+)?\.(jpg|png|webp|avif|gif)(\?.*)?$/

interface ObjectPicture {
  readonly bucket: string
  /** As in S3, not encoded. */
  readonly key: string
  /** Such as `400w`, `400w.webp` or `400w/cat.webp`. */
  readonly picture: string
  readonly versionId?: string
}

/** The URL of a picture of an object in a bucket. */
export function objectUrl({ bucket, key, picture, versionId }: ObjectPicture): string {
  const [first = '', ...others] = key.split('/')
  let path = encodeURIComponent(first)
  let before = first
  for (const segment of others) {
    // Clients resolve the segments "." and ".." of a path, unless the slashes beside them are encoded.
    const isBesideDots = [before, segment].some((each) => each === '.' || each === '..')
    path += (isBesideDots ? '%2F' : '/') + encodeURIComponent(segment)
    before = segment
  }
  const query = versionId === undefined ? '' : `?versionId=${encodeURIComponent(versionId)}`
  return `/s3/${bucket}/${path}/-/${picture}${query}`
}

interface RemotePicture {
  /** Absolute. */
  readonly url: string
  /** Such as `400w`. */
  readonly size: string
  readonly format?: string
}

/** The URL of a picture of a remote image. */
export function remoteUrl({ url, size, format }: RemotePicture): string {
  const formatQuery = format === undefined ? '' : `&format=${format}`
  return `/image?url=${encodeURIComponent(url)}&size=${size}${formatQuery}`
}

interface Vector {
  readonly name: string
  readonly key: string
  readonly url: string
  readonly expires?: number
  readonly signed: string
  readonly object?: ObjectPicture
  readonly remote?: RemotePicture
}

function selfTest(file: string): number {
  const vectors: readonly Vector[] = JSON.parse(readFileSync(file, 'utf8'))
  let mismatches = 0
  for (const { name, key, url, expires, signed, object, remote } of vectors) {
    const built = object ? objectUrl(object) : remote ? remoteUrl(remote) : url
    const result = signUrl(built, key, expires)
    if (result === signed) continue
    console.error(`${name}:\n  is        ${result}\n  should be ${signed}`)
    mismatches++
  }
  console.log(`${vectors.length - mismatches} of ${vectors.length} vectors match`)
  return mismatches === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) process.exitCode = selfTest(process.argv[2] ?? 'vectors.json')
