import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline, Readable, Transform } from 'node:stream'
import {
  type _Object,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { UnavailableError } from '../../errors.ts'
import type { ListedObject, ObjectSource, ObjectStat, ObjectStore } from '../../service/ports/store.ts'
import { objectBody } from '../calls/object-body.ts'
import { createS3Calls, S3_LIMITS, type S3Attempt, type S3CallSettings, type S3Limits } from './s3-calls.ts'
import { createS3Client, type S3ClientSettings, type S3Credentials } from './s3-client.ts'
import { S3Failure, STORE_SETTINGS, unless } from './s3-failure.ts'
import { md5Of } from './s3-md5.ts'

export interface S3StoreSettings extends S3ClientSettings {
  readonly bucket: string
  readonly credentials?: S3Credentials
  readonly limits?: Partial<S3Limits>
}

/** Objects in one bucket of an S3-compatible store. */
export function createS3Store(settings: S3StoreSettings): ObjectStore {
  const { bucket } = settings
  const limits = { ...S3_LIMITS, ...settings.limits }
  const client = createS3Client(settings, limits)
  const calls = createS3Calls(limits, STORE_SETTINGS)
  const call = (method: string, key: string, signal: AbortSignal): S3CallSettings => ({
    operation: `${method} ${bucket}/${key}`,
    timeoutMs: method === 'PUT' ? limits.putTimeoutMs : limits.totalTimeoutMs,
    signal,
  })

  const head = (key: string, signal: AbortSignal): Promise<ObjectStat> =>
    calls.run(call('HEAD', key, signal), async (attempt) => {
      const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), {
        abortSignal: attempt.signal,
      })
      const { ContentLength: sizeBytes, LastModified: modifiedAt } = found
      if (sizeBytes === undefined || modifiedAt === undefined) throw new S3Failure('foreign')
      const md5 = md5Of(found)
      return { sizeBytes, modifiedAt, ...(md5 !== undefined && { md5 }) }
    })

  /** Asks by GET: its 404 has a body that says what is missing, that of HEAD has none. */
  const isThere = async (key: string, signal: AbortSignal): Promise<boolean> => {
    const send = async (attempt: S3Attempt): Promise<true> => {
      const command = new GetObjectCommand({ Bucket: bucket, Key: key })
      const { Body } = await client.send(command, { abortSignal: attempt.signal })
      if (Body instanceof Readable) Body.destroy()
      return true
    }
    return (await unless('absent', calls.run(call('GET', key, signal), send))) ?? false
  }

  const stat = async (key: string, signal: AbortSignal): Promise<ObjectStat | undefined> => {
    const found = await unless('unclear', head(key, signal))
    if (found !== undefined || !(await isThere(key, signal))) return found
    return head(key, signal)
  }

  const listPage = (prefix: string, after: string, signal: AbortSignal): Promise<ListPage> =>
    calls.run(call('LIST', prefix, signal), async (attempt) => {
      const command = new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        ...(after !== '' && { StartAfter: after }),
      })
      const { Name, IsTruncated, Contents = [] } = await client.send(command, { abortSignal: attempt.signal })
      if (Name === undefined) throw new S3Failure('foreign')
      return { objects: Contents.flatMap(toListedObject), more: IsTruncated === true }
    })

  async function* listObjects(prefix: string, after: string, signal: AbortSignal): AsyncIterable<ListedObject> {
    for (let last = after, more = true; more; ) {
      const page = await listPage(prefix, last, signal)
      yield* page.objects
      last = page.objects.at(-1)?.key ?? last
      more = page.more && page.objects.length > 0
    }
  }

  const remove = async (key: string, signal: AbortSignal): Promise<void> => {
    const send = async (attempt: S3Attempt): Promise<void> => {
      const command = new DeleteObjectCommand({ Bucket: bucket, Key: key })
      const { $metadata } = await client.send(command, { abortSignal: attempt.signal })
      if ($metadata.httpStatusCode !== 204) throw new S3Failure('foreign')
    }
    await unless('absent', calls.run(call('DELETE', key, signal), send))
  }

  return {
    stat,

    async open(key, signal) {
      const opened = await unless(
        'absent',
        calls.begin(call('GET', key, signal), async (attempt) => {
          const command = new GetObjectCommand({ Bucket: bucket, Key: key })
          const { Body, ContentLength, ETag } = await client.send(command, { abortSignal: attempt.signal })
          // Something between us and the store may answer 200 with a page of its own, but not with an ETag.
          if (!(Body instanceof Readable) || ContentLength === undefined || ETag === undefined) {
            throw new S3Failure('foreign')
          }
          return { source: Body, sizeBytes: ContentLength }
        }),
      )
      if (opened === undefined) return undefined
      const { source, sizeBytes } = opened.result
      const { signal: callSignal, end } = opened
      const { stallTimeoutMs } = limits
      return { sizeBytes, body: objectBody(source, { sizeBytes, stallTimeoutMs, signal: callSignal, onClose: end }) }
    },

    async put(key, source, options, signal) {
      let attempts = 0
      const send = async (attempt: S3Attempt): Promise<'created'> => {
        attempts = attempt.number
        const body = requestBody(source, attempt)
        const command = new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentLength: options.sizeBytes,
          ContentType: options.contentType,
          ContentMD5: Buffer.from(options.md5, 'hex').toString('base64'),
          ...(options.overwrite !== true && { IfNoneMatch: '*' }),
        })
        try {
          const { ETag } = await client.send(command, { abortSignal: attempt.signal })
          if (ETag === undefined) throw new S3Failure('foreign')
          return 'created'
        } finally {
          if (body instanceof Readable) body.destroy()
        }
      }
      const outcome = await unless('taken', calls.run(call('PUT', key, signal), send))
      if (outcome !== undefined) return outcome
      // An earlier attempt may have written it, with only its answer lost.
      return attempts > 1 && (await stat(key, signal))?.md5 === options.md5 ? 'created' : 'exists'
    },

    remove,

    async *list(prefix, after, signal) {
      for await (const { key } of listObjects(prefix, after, signal)) yield key
    },

    listObjects,

    async check(signal) {
      const command = new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 })
      await calls.run(call('LIST', '', signal), async (attempt) => {
        const { Name } = await client.send(command, { abortSignal: attempt.signal })
        if (Name === undefined) throw new S3Failure('foreign')
      })
    },

    async mayWrite(signal) {
      const refused = async (attempt: S3Attempt): Promise<true> => {
        const command = new PutObjectCommand({ Bucket: bucket, Key: WRITE_PROBE.key, ...WRITE_PROBE.request })
        await client.send(command, { abortSignal: attempt.signal })
        return true
      }
      const isWritten = await verdictOf(calls.run(call('PUT', WRITE_PROBE.key, signal), refused))
      if (isWritten === true) await remove(WRITE_PROBE.key, signal)
      return isWritten !== 'refused'
    },

    mayRetry: calls.mayRetry,
    close: () => client.destroy(),
  }
}

interface ListPage {
  readonly objects: readonly ListedObject[]
  readonly more: boolean
}

function toListedObject({ Key, Size, LastModified }: _Object): ListedObject[] {
  if (Key === undefined) return []
  if (Size === undefined || LastModified === undefined) throw new S3Failure('foreign')
  return [{ key: Key, sizeBytes: Size, modifiedAt: LastModified }]
}

/**
 * A put that is refused in any case, to try the rights without leaving anything: its checksum is that of other bytes. A server
 * looks at the rights first. One that does not compare checksums stores it.
 */
const WRITE_PROBE = {
  key: 'originals/write-probe',
  request: {
    Body: Buffer.from('probe'),
    ContentLength: 5,
    ContentMD5: createHash('md5').update('other bytes').digest('base64'),
    IfNoneMatch: '*',
  },
} as const

/** What a put gave: true, or how the server refused it in a way that tells of the rights. */
async function verdictOf(put: Promise<true>): Promise<true | 'refused' | 'damaged' | 'taken'> {
  try {
    return await put
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error
    const { verdict } = error
    if (verdict === 'refused' || verdict === 'damaged' || verdict === 'taken') return verdict
    throw error
  }
}

/** A fresh stream for every attempt; its reads tell the attempt that the store still takes bytes. */
function requestBody(source: ObjectSource, attempt: S3Attempt): Buffer | Readable {
  if ('bytes' in source) return source.bytes
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      attempt.progressed()
      done(null, chunk)
    },
    flush(done) {
      attempt.sent()
      done()
    },
  })
  const file = createReadStream(source.path)
  file.on('error', (cause) => {
    attempt.fail(new UnavailableError('store_unavailable', 'The file to store cannot be read', { cause }))
  })
  pipeline(file, meter, () => {})
  return meter
}
