import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline, Readable, Transform } from 'node:stream'
import { type _Object, DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { UnavailableError } from '../../errors.ts'
import type { ListedObject, ObjectSource, ObjectStore } from '../../service/ports/store.ts'
import type { S3Attempt } from './s3-calls.ts'
import type { S3Credentials } from './s3-client.ts'
import { S3Failure, type S3SettingNames, STORE_SETTINGS, unless } from './s3-failure.ts'
import { createS3Reader, type S3ReaderSettings, type S3Send } from './s3-reader.ts'

export interface S3StoreSettings extends S3ReaderSettings {
  readonly credentials?: S3Credentials
  /** For messages. Default: those of STORE. */
  readonly names?: S3SettingNames
}

/** Objects in one bucket of an S3-compatible store. */
export function createS3Store(settings: S3StoreSettings): ObjectStore {
  const { bucket, names = STORE_SETTINGS } = settings
  const reader = createS3Reader(settings, {
    names,
    isAbsent: (verdict) => verdict === 'absent',
  })

  const stat: ObjectStore['stat'] = (key, signal) => reader.stat({ key }, signal)

  async function* listObjects(prefix: string, after: string, signal: AbortSignal): AsyncIterable<ListedObject> {
    for (let last = after, more = true; more; ) {
      const page = await reader.list({ Prefix: prefix, ...(last !== '' && { StartAfter: last }) }, signal)
      const objects = (page.Contents ?? []).flatMap(toListedObject)
      yield* objects
      last = objects.at(-1)?.key ?? last
      more = page.IsTruncated === true && objects.length > 0
    }
  }

  async function remove(key: string, signal: AbortSignal): Promise<void> {
    const send: S3Send<void> = async (attempt, client) => {
      const command = new DeleteObjectCommand({ Bucket: bucket, Key: key })
      const { $metadata } = await client.send(command, { abortSignal: attempt.signal })
      if ($metadata.httpStatusCode !== 204) throw new S3Failure('foreign')
    }
    await unless('absent', reader.run('DELETE', key, signal, send))
  }

  return {
    stat,

    open: (key, signal) => reader.open({ key }, signal),

    async put(key, source, options, signal) {
      let attempts = 0
      const send: S3Send<'created'> = async (attempt, client) => {
        attempts = attempt.number
        const body = requestBody(source, attempt)
        const command = new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentLength: options.sizeBytes,
          ContentType: options.contentType,
          ...(options.md5 !== undefined && { ContentMD5: Buffer.from(options.md5, 'hex').toString('base64') }),
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
      const outcome = await unless('taken', reader.run('PUT', key, signal, send))
      if (outcome !== undefined) return outcome
      // An earlier attempt may have written it and lost only its response.
      const isOurs = attempts > 1 && options.md5 !== undefined && (await stat(key, signal))?.md5 === options.md5
      return isOurs ? 'created' : 'exists'
    },

    remove,

    async *list(prefix, after, signal) {
      for await (const { key } of listObjects(prefix, after, signal)) yield key
    },

    listObjects,

    async check(signal) {
      await reader.list({ MaxKeys: 1 }, signal)
    },

    async mayWrite(signal) {
      const send: S3Send<true> = async (attempt, client) => {
        const command = new PutObjectCommand({ Bucket: bucket, Key: WRITE_PROBE.key, ...WRITE_PROBE.request })
        await client.send(command, { abortSignal: attempt.signal })
        return true
      }
      const isWritten = await verdictOf(reader.run('PUT', WRITE_PROBE.key, signal, send))
      if (isWritten === true) await remove(WRITE_PROBE.key, signal)
      return isWritten !== 'refused'
    },

    checksMd5: true,
    calls: reader.calls,
    close: reader.close,
  }
}

function toListedObject({ Key, Size, LastModified }: _Object): ListedObject[] {
  if (Key === undefined) return []
  if (Size === undefined || LastModified === undefined) throw new S3Failure('foreign')
  return [{ key: Key, sizeBytes: Size, modifiedAt: LastModified }]
}

/**
 * A put that always fails, to test the permission without writing: its checksum is wrong, and servers check the
 * permission first. A server that does not compare checksums stores it.
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

/** The result of a put: true, or the server's refusal that tells of the permission. */
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

/** A new stream for every attempt; its reads show that the store still accepts bytes. */
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
