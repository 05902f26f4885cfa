import type { Bucket, ObjectAddress } from '../../service/ports/bucket.ts'
import { BUCKET_SETTINGS, S3Failure, type S3Verdict, unless } from './s3-failure.ts'
import { createS3Reader, type S3ReaderSettings } from './s3-reader.ts'

export interface S3BucketSettings extends S3ReaderSettings {
  /** Keys that do not begin so are absent, without a question. Default: none. */
  readonly keyPrefix?: string
}

/** A key with a segment that a path's reader may take for a step rather than a name. */
const DOT_SEGMENT = /(?:^|[/\\])\.\.?(?:[/\\]|$)/

/**
 * Somebody else's bucket of an S3-compatible server, which is read only. A key that this server could have under no
 * circumstances (too long for it, or with `..`) is an absent one.
 */
export function createS3Bucket(settings: S3BucketSettings): Bucket {
  const { keyPrefix = '' } = settings
  const reader = createS3Reader(settings, { names: BUCKET_SETTINGS, isAbsent })

  // A proxy that tidies paths would make another object of such a key, and without a signature nobody would notice.
  const isServed = ({ key }: ObjectAddress): boolean =>
    key.startsWith(keyPrefix) && !(settings.credentials === 'anonymous' && DOT_SEGMENT.test(key))

  return {
    async look(address, known, signal) {
      signal.throwIfAborted()
      if (!isServed(address)) return undefined
      try {
        const version = await reader.stat(address, signal, known)
        return version !== undefined && version.etag === known ? 'unchanged' : version
      } catch (error) {
        if (known !== undefined && error instanceof S3Failure && error.verdict === 'unchanged') return 'unchanged'
        throw error
      }
    },

    async open(address, etag, signal) {
      signal.throwIfAborted()
      return isServed(address) ? unless('taken', reader.open(address, signal, etag)) : undefined
    },

    async check(signal) {
      await reader.list({ MaxKeys: 1, ...(keyPrefix !== '' && { Prefix: keyPrefix }) }, signal)
    },

    close: reader.close,
  }
}

function isAbsent(verdict: S3Verdict, { key, versionId }: ObjectAddress): boolean {
  if (verdict === 'malformed') return versionId !== undefined || DOT_SEGMENT.test(key)
  return verdict === 'absent' || verdict === 'unnamable' || (verdict === 'marker' && versionId !== undefined)
}
