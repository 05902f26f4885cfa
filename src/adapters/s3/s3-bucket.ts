import { Readable } from 'node:stream'
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { Bucket, ObjectAddress, ObjectVersion } from '../../service/ports/bucket.ts'
import { objectBody } from '../calls/object-body.ts'
import { createS3Calls, S3_LIMITS, type S3Attempt, type S3CallSettings, type S3Limits } from './s3-calls.ts'
import { createS3Client, type S3ClientSettings } from './s3-client.ts'
import { BUCKET_SETTINGS, S3Failure, unless } from './s3-failure.ts'
import { md5Of } from './s3-md5.ts'

export interface S3BucketSettings extends S3ClientSettings {
  readonly bucket: string
  /** Keys that do not begin so are absent, without a question. Default: none. */
  readonly keyPrefix?: string
  readonly limits?: Partial<S3Limits>
}

/** A key with a segment that a path's reader may take for a step rather than a name. */
const DOT_SEGMENT = /(?:^|[/\\])\.\.?(?:[/\\]|$)/

/**
 * Somebody else's bucket of an S3-compatible server, which is read only. A key that this server could have under no
 * circumstances (too long for it, or with `..`) is an absent one.
 */
export function createS3Bucket(settings: S3BucketSettings): Bucket {
  const { bucket, keyPrefix = '' } = settings
  const limits = { ...S3_LIMITS, ...settings.limits }
  const client = createS3Client(settings, limits)
  const calls = createS3Calls(limits, BUCKET_SETTINGS)
  const call = (method: string, key: string, signal: AbortSignal): S3CallSettings => ({
    operation: `${method} ${bucket}/${key}`,
    timeoutMs: limits.totalTimeoutMs,
    signal,
  })
  const target = ({ key, versionId }: ObjectAddress) => ({
    Bucket: bucket,
    Key: key,
    ...(versionId !== undefined && { VersionId: versionId }),
  })

  // A proxy that tidies paths would make another object of such a key, and without a signature nobody would notice.
  const isServed = ({ key }: ObjectAddress): boolean =>
    key.startsWith(keyPrefix) && !(settings.credentials === 'anonymous' && DOT_SEGMENT.test(key))

  const head = async (
    address: ObjectAddress,
    known: string | undefined,
    signal: AbortSignal,
  ): Promise<ObjectVersion | 'unchanged' | undefined> => {
    const send = async (attempt: S3Attempt) => {
      const condition = known !== undefined && { IfNoneMatch: known }
      const command = new HeadObjectCommand({ ...target(address), ...condition })
      const found = await client.send(command, { abortSignal: attempt.signal })
      const { ContentLength: sizeBytes, LastModified: modifiedAt, ETag: etag } = found
      if (sizeBytes === undefined || modifiedAt === undefined || etag === undefined) throw new S3Failure('foreign')
      if (!isVersion(found, address)) return undefined
      if (etag === known) return 'unchanged'
      const md5 = md5Of(found)
      return { etag, sizeBytes, modifiedAt, ...(md5 !== undefined && { md5 }) }
    }
    const answer = calls.run(call('HEAD', address.key, signal), send)
    return known === undefined ? answer : orIf('unchanged', answer)
  }

  /** Asks by GET: its errors have a body that says what is wrong, those of HEAD have none. */
  const isThere = async (address: ObjectAddress, signal: AbortSignal): Promise<boolean> => {
    const send = async (attempt: S3Attempt): Promise<true> => {
      const { Body } = await client.send(new GetObjectCommand(target(address)), { abortSignal: attempt.signal })
      if (Body instanceof Readable) Body.destroy()
      return true
    }
    return (await unlessAbsent(address, calls.run(call('GET', address.key, signal), send))) ?? false
  }

  return {
    async look(address, known, signal) {
      signal.throwIfAborted()
      if (!isServed(address)) return undefined
      try {
        return await head(address, known, signal)
      } catch (error) {
        if (!(error instanceof S3Failure) || !needsReason(error)) throw error
      }
      return (await isThere(address, signal)) ? head(address, known, signal) : undefined
    },

    async open(address, etag, signal) {
      signal.throwIfAborted()
      if (!isServed(address)) return undefined
      const get = calls.begin(call('GET', address.key, signal), async (attempt) => {
        const command = new GetObjectCommand({ ...target(address), IfMatch: etag })
        const found = await client.send(command, { abortSignal: attempt.signal })
        const { Body: source, ContentLength: sizeBytes, ETag } = found
        // Something between us and the server may answer 200 with a page of its own, but not with an ETag.
        if (!(source instanceof Readable) || sizeBytes === undefined || ETag === undefined) {
          throw new S3Failure('foreign')
        }
        return { source, sizeBytes, isSame: ETag === etag && isVersion(found, address) }
      })
      const opened = await unless('taken', unlessAbsent(address, get))
      if (opened === undefined) return undefined
      const { source, sizeBytes, isSame } = opened.result
      const { signal: callSignal, end } = opened
      if (!isSame) {
        source.destroy()
        end()
        return undefined
      }
      const { stallTimeoutMs } = limits
      return { sizeBytes, body: objectBody(source, { sizeBytes, stallTimeoutMs, signal: callSignal, onClose: end }) }
    },

    async check(signal) {
      const prefix = keyPrefix !== '' && { Prefix: keyPrefix }
      const command = new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1, ...prefix })
      await calls.run(call('LIST', keyPrefix, signal), async (attempt) => {
        const { Name } = await client.send(command, { abortSignal: attempt.signal })
        if (Name === undefined) throw new S3Failure('foreign')
      })
    },

    mayRetry: calls.mayRetry,
    close: () => client.destroy(),
  }
}

/** A refusal may be one for the clock, which the next attempt has right. */
function needsReason({ verdict }: S3Failure): boolean {
  return verdict === 'unclear' || verdict === 'refused'
}

/** Some servers answer with the present version when they do not know the one that was asked for. */
function isVersion({ VersionId: given = 'null' }: { VersionId?: string | undefined }, asked: ObjectAddress): boolean {
  return asked.versionId === undefined || asked.versionId === given
}

async function orIf<T>(verdict: 'unchanged', result: Promise<T>): Promise<T | 'unchanged'> {
  try {
    return await result
  } catch (error) {
    if (error instanceof S3Failure && error.verdict === verdict) return verdict
    throw error
  }
}

/** What a GET gave; undefined if its answer was that there is no such object, or could be none. */
async function unlessAbsent<T>({ key, versionId }: ObjectAddress, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error
    const { verdict } = error
    if (verdict === 'absent' || verdict === 'unnamable') return undefined
    if (verdict === 'marker' && versionId !== undefined) return undefined
    if (verdict === 'malformed' && (versionId !== undefined || DOT_SEGMENT.test(key))) return undefined
    throw error
  }
}
