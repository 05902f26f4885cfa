import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3'
import type { ObjectAddress } from '../../service/ports/bucket.ts'
import type { S3Connections } from './s3-client.ts'
import { exchange } from './s3-exchange.ts'
import { createS3Requests, type ObjectRequest, type S3RequestSettings } from './s3-request.ts'

/** What a response tells of an object. */
export interface ObjectHead {
  readonly etag: string | undefined
  readonly sizeBytes: number | undefined
  readonly modifiedAt: Date | undefined
  readonly versionId: string | undefined
  /** Server-side encryption: its algorithm. */
  readonly encryption: string | undefined
  /** Encryption with a key of the client: its algorithm. */
  readonly customerEncryption: string | undefined
}

/** Sends requests without limits and retries. Errors are for `toS3Failure`. */
export interface S3Objects {
  /** @param known Sent as `If-None-Match`. */
  head(address: ObjectAddress, known: string | undefined, signal: AbortSignal): Promise<ObjectHead>
  /** @param etag Sent as `If-Match`. @returns The body must be read or destroyed. */
  get(
    address: ObjectAddress,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<ObjectHead & { readonly body: Readable | undefined }>
}

export interface S3ObjectsSettings extends S3RequestSettings {
  readonly connectTimeoutMs: number
}

/** Directory buckets, and access points for them or for Outposts: their requests are signed in other ways. */
const SPECIAL_BUCKET = /--(?:x|xa|op)-s3$/

export function createS3Objects(connections: S3Connections, settings: S3ObjectsSettings): S3Objects {
  return SPECIAL_BUCKET.test(settings.bucket)
    ? createSdkObjects(connections, settings)
    : createSignedObjects(connections, settings)
}

/** Signs requests itself: the SDK takes 0.6 ms of CPU more for each (`npm run bench -- store`). */
function createSignedObjects({ client, agents }: S3Connections, settings: S3ObjectsSettings): S3Objects {
  const requests = createS3Requests(client, settings)
  const options = { agents, connectTimeoutMs: settings.connectTimeoutMs }

  async function send(request: ObjectRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await exchange(await requests.build(request), options, signal)
    const { statusCode: status = 0, headers } = response
    const isSuccess = status >= 200 && status < 300
    const text = isSuccess ? '' : await startOf(response)
    // The time of a cached response has passed.
    if (headers.age === undefined) requests.followClock(elementOf(text, 'ServerTime') ?? headers.date)
    if (isSuccess) return response
    throw new S3ResponseError(status, elementOf(text, 'Code'), headers)
  }

  return {
    async head(address, known, signal) {
      const headers = known === undefined ? {} : { 'if-none-match': known }
      const response = await send({ method: 'HEAD', address, headers }, signal)
      // The connection is free for the next request when the response has ended.
      await startOf(response)
      return headOf(response.headers)
    },

    async get(address, etag, signal) {
      const headers = etag === undefined ? {} : { 'if-match': etag }
      const response = await send({ method: 'GET', address, headers }, signal)
      return { ...headOf(response.headers), body: response }
    },
  }
}

function headOf(headers: IncomingHttpHeaders): ObjectHead {
  const { etag, 'content-length': length, 'last-modified': modified } = headers
  const modifiedMs = Date.parse(modified ?? '')
  return {
    etag,
    sizeBytes: length === undefined ? undefined : Number(length),
    modifiedAt: Number.isNaN(modifiedMs) ? undefined : new Date(modifiedMs),
    versionId: textOf(headers['x-amz-version-id']),
    encryption: textOf(headers['x-amz-server-side-encryption']),
    customerEncryption: textOf(headers['x-amz-server-side-encryption-customer-algorithm']),
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(', ')
}

/** Has the fields of the SDK's errors. */
class S3ResponseError extends Error {
  readonly $metadata: { readonly httpStatusCode: number; readonly requestId: string | undefined }
  constructor(status: number, code: string | undefined, headers: IncomingHttpHeaders) {
    super('The response is an error')
    this.name = code ?? 'Unknown'
    this.$metadata = { httpStatusCode: status, requestId: textOf(headers['x-amz-request-id']) }
  }
}

const MAX_ERROR_CHARACTERS = 64 * 1024

/** The text of a response, or its start if it is too long for an error of S3. */
async function startOf(response: IncomingMessage): Promise<string> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response) {
    text += String(chunk)
    if (text.length > MAX_ERROR_CHARACTERS) break
  }
  return text
}

/** The text of the first element of this name in an error of S3. */
function elementOf(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]{1,200})</${name}>`).exec(xml)?.[1]?.trim()
}

/** All by the SDK. */
function createSdkObjects({ client }: S3Connections, { bucket }: S3ObjectsSettings): S3Objects {
  return {
    async head(address, known, signal) {
      const condition = known !== undefined && { IfNoneMatch: known }
      const command = new HeadObjectCommand({ Bucket: bucket, ...nameOf(address), ...condition })
      return fromSdk(await client.send(command, { abortSignal: signal }))
    },

    async get(address, etag, signal) {
      const condition = etag !== undefined && { IfMatch: etag }
      const command = new GetObjectCommand({ Bucket: bucket, ...nameOf(address), ...condition })
      const found = await client.send(command, { abortSignal: signal })
      return { ...fromSdk(found), body: found.Body instanceof Readable ? found.Body : undefined }
    },
  }
}

function nameOf({ key, versionId }: ObjectAddress): { readonly Key: string; readonly VersionId?: string } {
  return { Key: key, ...(versionId !== undefined && { VersionId: versionId }) }
}

function fromSdk(found: HeadObjectCommandOutput | GetObjectCommandOutput): ObjectHead {
  return {
    etag: found.ETag,
    sizeBytes: found.ContentLength,
    modifiedAt: found.LastModified,
    versionId: found.VersionId,
    encryption: found.ServerSideEncryption,
    customerEncryption: found.SSECustomerAlgorithm,
  }
}
