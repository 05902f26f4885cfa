import { RequestError } from '../../errors.ts'
import { parseJson } from '../text/json-text.ts'

export interface BucketEvent {
  /** Name of the bucket, not the alias. */
  readonly bucket: string
  /** Not encoded. */
  readonly key: string
  /**
   * `removed` does not imply that the key is empty now: an old version may have been removed, or a delete marker.
   * Events may also arrive in another order. Only a request to the bucket tells its state.
   */
  readonly kind: 'created' | 'removed'
  /** Quoted; that of the version, if the sender includes it. */
  readonly etag?: string
  /** Id of the version; with some senders that of a delete marker. Absent without versioning. */
  readonly versionId?: string
}

/** By name, without the prefix `s3:` of some senders. Other events do not change the bytes of an object. */
const CREATED = /^Object(?:Created:(?:Put|Post|Copy|CompleteMultipartUpload)|Synced:Create)$/
const REMOVED =
  /^(?:ObjectRemoved:\w+|LifecycleExpiration:\w+|LifecycleDelMarkerExpiration:\w+|ObjectLifecycle:Expiration:(?:Current|NonCurrent|DeleteMarker)|ObjectSynced:Delet\w+)$/

/**
 * Reads the notifications of MinIO, Ceph and AWS. Other events, and the test message of AWS, are ignored.
 *
 * @param body JSON with `Records`.
 * @returns The events in the order of the message.
 * @throws RequestError `invalid_event`
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export function parseBucketEvents(body: string): readonly BucketEvent[] {
  const message = parseJson(body)
  if (!isGroup(message)) throw invalid('The body should be a JSON object with "Records"')
  if (message['Event'] === 's3:TestEvent') return []
  const { Records: records } = message
  if (records === null) return []
  if (!Array.isArray(records)) throw invalid('"Records" should be a list')
  return records.flatMap((record: unknown, index) => parseRecord(record, `Records[${index}]`) ?? [])
}

function parseRecord(record: unknown, path: string): BucketEvent | undefined {
  if (!isGroup(record)) throw invalid(`"${path}" should be an object`)
  const kind = kindOf(textAt(record, ['eventName'], path))
  if (kind === undefined) return undefined
  const key = textAt(record, ['s3', 'object', 'key'], path)
  const object = groupAt(record, ['s3', 'object'], path)
  const { eTag: etag, versionId } = object
  return {
    bucket: textAt(record, ['s3', 'bucket', 'name'], path),
    // Ceph sends plain keys; the others form-encode them.
    key: record['eventSource'] === 'ceph:s3' ? key : decodeKey(key, path),
    kind,
    ...(isText(etag) && { etag: `"${etag}"` }),
    ...(isText(versionId) && { versionId }),
  }
}

function kindOf(eventName: string): BucketEvent['kind'] | undefined {
  const name = eventName.replace(/^s3:/, '')
  if (CREATED.test(name)) return 'created'
  return REMOVED.test(name) ? 'removed' : undefined
}

function decodeKey(key: string, path: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch (cause) {
    if (!(cause instanceof URIError)) throw cause
    throw invalid(`"${path}.s3.object.key" should be form-encoded, as in a+b%2Bc.jpg`, cause)
  }
}

type Group = Readonly<Record<string, unknown>>

function groupAt(group: Group, names: readonly string[], path: string): Group {
  let found = group
  let at = path
  for (const name of names) {
    at += `.${name}`
    const next = found[name]
    if (!isGroup(next)) throw invalid(`"${at}" should be an object`)
    found = next
  }
  return found
}

function textAt(group: Group, names: readonly string[], path: string): string {
  const name = names.at(-1) ?? ''
  const text = groupAt(group, names.slice(0, -1), path)[name]
  if (isText(text)) return text
  throw invalid(`"${path}.${names.join('.')}" should be a string`)
}

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function invalid(message: string, cause?: unknown): RequestError {
  return new RequestError('invalid_event', message, { cause })
}
