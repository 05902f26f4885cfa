import type { Readable } from 'node:stream'
import {
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { Bucket, ObjectAddress, ObjectVersion, ReadVersion } from '../../service/ports/bucket.ts'
import type { EndpointCalls } from '../../service/ports/meter.ts'
import type { OpenObject } from '../../service/ports/store.ts'
import { objectBody } from '../calls/timed-body.ts'
import {
  createS3Calls,
  S3_LIMITS,
  type S3Attempt,
  type S3CallSettings,
  type S3Calls,
  type S3Limits,
} from './s3-calls.ts'
import { createS3Connections, type S3ClientSettings } from './s3-client.ts'
import { BUCKET_SETTINGS, S3Failure, type S3SettingNames, type S3Verdict, unless } from './s3-failure.ts'
import { createS3Objects, type ObjectHead } from './s3-objects.ts'

export interface S3ReaderSettings extends S3ClientSettings {
  readonly bucket: string
  readonly limits?: Partial<S3Limits>
}

/** How the store and a bucket interpret failed calls. */
export interface S3Interpretation {
  readonly names: S3SettingNames
  /** Whether this failure of a GET means that the object does not exist. */
  isAbsent(verdict: S3Verdict, address: ObjectAddress): boolean
}

export type S3Method = 'HEAD' | 'GET' | 'LIST' | 'PUT' | 'DELETE'

/** Reads one bucket of an S3-compatible server, with the limits and retries of `S3Calls`. Failures are thrown as `S3Failure`. */
export interface S3Reader {
  /**
   * Sends HEAD. An error without a code is repeated by GET, whose errors have a body.
   * @param known ETag of a known version, sent as `If-None-Match`: the failure `unchanged` means that it is current.
   * @returns undefined if there is no such key or version.
   */
  stat(address: ObjectAddress, signal: AbortSignal, known?: string): Promise<ObjectVersion | undefined>
  /**
   * @param etag Sent as `If-Match`: the failure `taken` means that there is another version.
   * @returns undefined if there is no such key or version, or if the server ignores `If-Match` and sends another
   *   version.
   */
  open(address: ObjectAddress, signal: AbortSignal, etag?: string): Promise<OpenObject | undefined>
  /** `stat` and `open` in one request. */
  read(address: ObjectAddress, signal: AbortSignal): Promise<ReadVersion | undefined>
  /** One page. */
  list(query: Omit<ListObjectsV2CommandInput, 'Bucket'>, signal: AbortSignal): Promise<ListObjectsV2CommandOutput>
  /** Any other call. */
  run<T>(method: S3Method, key: string, signal: AbortSignal, send: S3Send<T>): Promise<T>
  readonly calls: EndpointCalls
  close(): void
}

export type S3Send<T> = (attempt: S3Attempt, client: S3Client) => Promise<T>

/** Creates a client of its own; `close` ends its connections. */
export function createS3Reader(settings: S3ReaderSettings, { names, isAbsent }: S3Interpretation): S3Reader {
  const { bucket } = settings
  const limits = { ...S3_LIMITS, ...settings.limits }
  const connections = createS3Connections(settings, limits)
  const { client } = connections
  const objects = createS3Objects(connections, { ...settings, connectTimeoutMs: limits.connectTimeoutMs })
  const calls = createS3Calls(limits, names)
  const call = (method: S3Method, key: string, signal: AbortSignal): S3CallSettings => ({
    operation: `${method} ${bucket}/${key}`,
    timeoutMs: method === 'PUT' ? limits.putTimeoutMs : limits.totalTimeoutMs,
    signal,
  })

  function run<T>(method: S3Method, key: string, signal: AbortSignal, send: S3Send<T>): Promise<T> {
    return calls.run(call(method, key, signal), (attempt) => send(attempt, client))
  }

  function head(address: ObjectAddress, signal: AbortSignal, known?: string): Promise<ObjectVersion | undefined> {
    return run('HEAD', address.key, signal, async (attempt) => {
      const found = await objects.head(address, known, attempt.signal)
      const version = versionOf(found)
      return isVersion(found, address) ? version : undefined
    })
  }

  async function get({ address, etag }: { address: ObjectAddress; etag?: string | undefined }, attempt: S3Attempt) {
    const found = await objects.get(address, etag, attempt.signal)
    const { body: source, sizeBytes } = found
    // A proxy may respond 200 with a page of its own, but not with an ETag.
    if (source === undefined || sizeBytes === undefined || found.etag === undefined) throw new S3Failure('foreign')
    const isWanted = (etag === undefined || found.etag === etag) && isVersion(found, address)
    return { found, source, sizeBytes, isWanted }
  }

  const toObject = (began: Began): OpenObject | undefined => wantedObject(began, limits, calls)

  async function unlessAbsent<T>(address: ObjectAddress, result: Promise<T>): Promise<T | undefined> {
    try {
      return await result
    } catch (error) {
      if (error instanceof S3Failure && isAbsent(error.verdict, address)) return undefined
      throw error
    }
  }

  return {
    async stat(address, signal, known) {
      try {
        return await head(address, signal, known)
      } catch (error) {
        if (!(error instanceof S3Failure) || !needsReason(error)) throw error
      }
      const isThere = async (attempt: S3Attempt): Promise<true> => {
        const { source } = await get({ address }, attempt)
        source.destroy()
        return true
      }
      const found = await unlessAbsent(address, run('GET', address.key, signal, isThere))
      return found && head(address, signal, known)
    },

    async open(address, signal, etag) {
      const began = calls.begin(call('GET', address.key, signal), (attempt) => get({ address, etag }, attempt))
      const opened = await unlessAbsent(address, began)
      return opened && toObject(opened)
    },

    async read(address, signal) {
      const began = calls.begin(call('GET', address.key, signal), async (attempt) =>
        withVersion(await get({ address }, attempt)),
      )
      const opened = await unlessAbsent(address, began)
      const object = opened && toObject(opened)
      return object && { version: opened.result.version, object }
    },

    list: (query, signal) =>
      run('LIST', query.Prefix ?? '', signal, async (attempt) => {
        const command = new ListObjectsV2Command({ Bucket: bucket, ...query })
        const page = await client.send(command, { abortSignal: attempt.signal })
        if (page.Name === undefined) throw new S3Failure('foreign')
        return page
      }),

    run,
    calls: calls.calls,
    close: connections.close,
  }
}

/** A call whose body is still to be read. */
interface Began {
  readonly result: { readonly source: Readable; readonly sizeBytes: number; readonly isWanted: boolean }
  readonly signal: AbortSignal
  end(): void
}

function withVersion<T extends { readonly found: ObjectHead; readonly source: Readable }>(got: T) {
  try {
    return { ...got, version: versionOf(got.found) }
  } catch (error) {
    got.source.destroy()
    throw error
  }
}

/**
 * The body has the deadline and the place of the call until it ends.
 * @returns undefined if the server has sent another version.
 */
function wantedObject(
  { result: { source, sizeBytes, isWanted }, signal, end }: Began,
  { stallTimeoutMs }: Pick<S3Limits, 'stallTimeoutMs'>,
  { takeRetry }: Pick<S3Calls, 'takeRetry'>,
): OpenObject | undefined {
  if (!isWanted) {
    source.destroy()
    end()
    return undefined
  }
  return { sizeBytes, body: objectBody(source, { sizeBytes, stallTimeoutMs, signal, onClose: end }), takeRetry }
}

/** Errors of HEAD have no body: a refusal may be one for the clock, which is correct in the next attempt. */
function needsReason({ verdict }: S3Failure): boolean {
  return verdict === 'unclear' || verdict === 'refused'
}

/** Some servers send the current version if they do not know the requested one. */
function isVersion({ versionId: given = 'null' }: ObjectHead, asked: ObjectAddress): boolean {
  return asked.versionId === undefined || asked.versionId === given
}

function versionOf(found: ObjectHead): ObjectVersion {
  const { sizeBytes, modifiedAt, etag } = found
  if (sizeBytes === undefined || modifiedAt === undefined || etag === undefined) throw new S3Failure('foreign')
  const md5 = md5Of(found)
  return { etag, sizeBytes, modifiedAt, ...(md5 !== undefined && { md5 }) }
}

/** An ETag is an MD5 only if the object was put as a whole and is not encrypted with a key of the store. */
function md5Of({ etag = '', encryption, customerEncryption }: ObjectHead): string | undefined {
  const isPlain = encryption === undefined || encryption === 'AES256'
  if (!isPlain || customerEncryption !== undefined) return undefined
  return /^"?([0-9a-f]{32})"?$/i.exec(etag)?.[1]?.toLowerCase()
}

export interface S3BucketSettings extends S3ReaderSettings {
  /** Keys without this prefix are absent, without a call. Default: empty. */
  readonly keyPrefix?: string
}

/** A key with a segment that a path parser may resolve. */
const DOT_SEGMENT = /(?:^|[/\\])\.\.?(?:[/\\]|$)/

/**
 * A bucket of an S3-compatible server, which is only read. A key that is impossible on this server (too long, or with
 * `..`) is absent.
 */
export function createS3Bucket(settings: S3BucketSettings): Bucket {
  const { keyPrefix = '' } = settings
  const reader = createS3Reader(settings, { names: BUCKET_SETTINGS, isAbsent: isObjectAbsent })

  // A proxy that normalizes paths would turn such a key into another one, unnoticed without a signature.
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

    async read(address, signal) {
      signal.throwIfAborted()
      return isServed(address) ? await reader.read(address, signal) : undefined
    },

    async open(address, etag, signal) {
      signal.throwIfAborted()
      return isServed(address) ? unless('taken', reader.open(address, signal, etag)) : undefined
    },

    async *list(prefix, signal) {
      for (let last = '', more = true; more; ) {
        const page = await reader.list({ Prefix: prefix, ...(last !== '' && { StartAfter: last }) }, signal)
        const keys = (page.Contents ?? []).flatMap(({ Key }) => Key ?? [])
        yield* keys
        last = keys.at(-1) ?? last
        more = page.IsTruncated === true && keys.length > 0
      }
    },

    async check(signal) {
      await reader.list({ MaxKeys: 1, ...(keyPrefix !== '' && { Prefix: keyPrefix }) }, signal)
    },

    calls: reader.calls,
    close: reader.close,
  }
}

function isObjectAbsent(verdict: S3Verdict, { key, versionId }: ObjectAddress): boolean {
  if (verdict === 'malformed') return versionId !== undefined || DOT_SEGMENT.test(key)
  return verdict === 'absent' || verdict === 'unnamable' || (verdict === 'marker' && versionId !== undefined)
}
