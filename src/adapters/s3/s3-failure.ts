import { UnavailableError } from '../../errors.ts'
import type { CallOutcome } from '../../service/ports/meter.ts'

/** The meaning of a failed S3 call. */
export type S3Verdict =
  | 'absent'
  | 'unnamable'
  | 'malformed'
  | 'marker'
  | 'unchanged'
  | 'taken'
  | 'conflict'
  | 'skewed'
  | 'busy'
  | 'down'
  | 'silent'
  | 'full'
  | 'no_bucket'
  | 'refused'
  | 'no_credentials'
  | 'no_tls'
  | 'damaged'
  | 'unclear'
  | 'foreign'

const MESSAGES = {
  absent: 'The object store does not have this object',
  unnamable: 'The object store does not allow an object of this name',
  malformed: 'The object store sent an unexpected response',
  marker: 'The object store sent an unexpected response',
  unchanged: 'The object store sent an unexpected response',
  taken: 'The object store already has this object',
  conflict: 'The object store reports a conflict on this object',
  skewed: 'The object store rejects the credentials because the clocks differ: synchronise the clock of this machine',
  busy: 'The object store is overloaded',
  down: 'The object store is unreachable',
  silent: 'The object store did not respond in time',
  full: 'The object store is full',
  no_bucket: 'The bucket does not exist in the object store',
  refused: 'The object store rejects the credentials',
  no_credentials: 'No credentials for the object store',
  no_tls: 'The TLS connection to the object store failed',
  damaged: 'The object was damaged in transit to the object store',
  unclear: 'The object store sent an unexpected response',
  foreign: 'The object store sent an unexpected response',
} as const satisfies Record<S3Verdict, string>

/** Names of the settings of a store or a bucket, for messages. */
export interface S3SettingNames {
  readonly endpoint: string
  readonly credentials: string
  /** Settings to check if the credentials are refused. */
  readonly rights: string
  /** The setting with the name of the bucket. */
  readonly bucket: string
}

export const STORE_SETTINGS: S3SettingNames = {
  endpoint: 'S3_ENDPOINT',
  credentials: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  rights: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the policy of their user',
  bucket: 'STORE',
}

export const REPLICA_SETTINGS: S3SettingNames = {
  endpoint: 'its endpoint in STORE_REPLICAS',
  credentials: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or its profile in STORE_REPLICAS',
  rights: 'its profile in STORE_REPLICAS, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  bucket: 'its bucket in STORE_REPLICAS',
}

export const BUCKET_SETTINGS: S3SettingNames = {
  endpoint: 'its endpoint in BUCKETS_FILE',
  credentials: 'accessKeyId and secretAccessKey (or anonymous: true) in BUCKETS_FILE',
  rights: 'its credentials in BUCKETS_FILE, and that they allow ListBucket and GetObject',
  bucket: 'its bucket in BUCKETS_FILE',
}

/** The remedy, if the settings are the cause. */
function adviceFor(verdict: S3Verdict, { endpoint, credentials, rights, bucket }: S3SettingNames): string {
  if (verdict === 'no_credentials') return `: set ${credentials}, or assign a role to this machine`
  if (verdict === 'refused') return `: check ${rights}`
  if (verdict === 'no_bucket') return `: create it, or correct ${bucket}`
  if (verdict === 'no_tls') return `: if it uses plain HTTP, ${endpoint} should start with http:// instead of https://`
  return ''
}

/**
 * A failed call of S3, translated. The adapters translate the verdicts that answer a question (`absent`, `unchanged`,
 * `taken` and the like), and `unclear`.
 */
export class S3Failure extends UnavailableError {
  readonly verdict: S3Verdict
  constructor(verdict: S3Verdict, cause?: unknown, settings: S3SettingNames = STORE_SETTINGS) {
    const message = MESSAGES[verdict] + adviceFor(verdict, settings)
    super(verdict === 'full' ? 'store_full' : 'store_unavailable', message, { cause })
    this.verdict = verdict
  }
}

/** Whether further calls would only wait or add load. */
export function isOutage(verdict: S3Verdict): boolean {
  return verdict === 'down' || verdict === 'silent' || verdict === 'busy'
}

const OUTCOMES = {
  absent: 'ok',
  unnamable: 'ok',
  malformed: 'ok',
  marker: 'ok',
  unchanged: 'ok',
  taken: 'ok',
  conflict: 'ok',
  skewed: 'denied',
  busy: 'busy',
  down: 'unreachable',
  silent: 'timeout',
  full: 'full',
  no_bucket: 'denied',
  refused: 'denied',
  no_credentials: 'denied',
  no_tls: 'unreachable',
  // The usual response to the probe of write permission.
  damaged: 'ok',
  // A response to HEAD has no error code. The adapters repeat it by GET, which is counted too.
  unclear: 'ok',
  foreign: 'invalid',
} as const satisfies Record<S3Verdict, CallOutcome>

/** The label of a failed call in the metrics. */
export function outcomeOf(error: unknown): CallOutcome {
  return error instanceof S3Failure ? OUTCOMES[error.verdict] : 'canceled'
}

/** The result of a call; undefined if it failed with this verdict. */
export async function unless<T>(verdict: S3Verdict, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (error) {
    if (error instanceof S3Failure && error.verdict === verdict) return undefined
    throw error
  }
}

const BY_CODE = new Map<string, S3Verdict>([
  ['NoSuchKey', 'absent'],
  ['NoSuchVersion', 'absent'],
  // Error codes of MinIO, Ceph and AWS for an impossible key.
  ['XMinioInvalidObjectName', 'unnamable'],
  ['XMinioInvalidResourceName', 'unnamable'],
  ['InvalidObjectName', 'unnamable'],
  ['KeyTooLongError', 'unnamable'],
  ['InvalidURI', 'unnamable'],
  // These two do not name the invalid part: a version id, or with SeaweedFS a key.
  ['InvalidArgument', 'malformed'],
  ['InvalidRequest', 'malformed'],
  // The requested version is a delete marker.
  ['MethodNotAllowed', 'marker'],
  ['PreconditionFailed', 'taken'],
  ['ConditionalRequestConflict', 'conflict'],
  ['OperationAborted', 'conflict'],
  ['RequestTimeTooSkewed', 'skewed'],
  ['SlowDown', 'busy'],
  ['NoSuchBucket', 'no_bucket'],
  ['QuotaExceeded', 'full'],
  ['XMinioStorageFull', 'full'],
  ['XMinioAdminBucketQuotaExceeded', 'full'],
  ['BadDigest', 'damaged'],
  ['AuthorizationHeaderMalformed', 'refused'],
  ['CredentialsProviderError', 'no_credentials'],
])

// The response is not TLS, mostly plain HTTP. The code depends on the version of Node.
const BY_SYSTEM_CODE = new Map<string, S3Verdict>([
  ['EPROTO', 'no_tls'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'no_tls'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'no_tls'],
])

// A 404 without the code NoSuchKey may be a missing bucket, or a proxy without S3: never an absent key. Responses to
// HEAD have no code.
const BY_STATUS = new Map<number, S3Verdict>([
  [304, 'unchanged'],
  [400, 'unclear'],
  [401, 'refused'],
  [403, 'refused'],
  [404, 'unclear'],
  [405, 'unclear'],
  [412, 'taken'],
  [500, 'busy'],
  [502, 'busy'],
  [503, 'busy'],
  [504, 'silent'],
  [507, 'full'],
])

/** Translates an error of the SDK by its code and status, never by its text. An `S3Failure` is returned as it is. */
export function toS3Failure(
  error: unknown,
  operation: string,
  settings: S3SettingNames = STORE_SETTINGS,
): UnavailableError {
  if (error instanceof UnavailableError) return error
  const { status, name, code } = facts(error)
  // The SDK renames ECONNRESET and EPIPE to TimeoutError; its own timeouts, which only exist for connecting, have no
  // code.
  const network = status === undefined && (code !== undefined || name === 'TimeoutError')
  const verdict = BY_CODE.get(name) ?? (status === undefined ? BY_SYSTEM_CODE.get(code ?? '') : BY_STATUS.get(status))
  return new S3Failure(verdict ?? (network ? 'down' : 'foreign'), summary(error, operation), settings)
}

/** Only fields that are safe to log: the SDK's error contains the access key and the signed string. */
function summary(error: unknown, operation: string): Error {
  const { status, name, code, requestId } = facts(error)
  const parts = [
    name,
    code === name ? undefined : code,
    status && `HTTP ${status}`,
    requestId && `request ${requestId}`,
  ]
  return new Error(`${operation}: ${parts.filter((part) => part !== undefined).join(', ')}`)
}

function facts(error: unknown): { status?: number; name: string; code?: string; requestId?: string } {
  const name = field(error, 'name')
  const code = field(error, 'code')
  const metadata = field(error, '$metadata')
  const status = field(metadata, 'httpStatusCode')
  const requestId = field(metadata, 'requestId')
  return {
    name: typeof name === 'string' ? name : 'Error',
    ...(typeof code === 'string' && { code }),
    ...(typeof status === 'number' && { status }),
    ...(typeof requestId === 'string' && { requestId }),
  }
}

/** A field of anything. */
export function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
