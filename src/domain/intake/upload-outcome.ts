/** What a node answered to an upload. */
export interface UploadAnswer {
  readonly status: number
  /** The stable code of an error. */
  readonly error?: string
  readonly message?: string
  /** Of the stored image. */
  readonly id?: string
  /** Of `Retry-After`. */
  readonly retryAfterSeconds?: number
}

export type UploadOutcome =
  | { readonly kind: 'stored' }
  /** The node will never take this file. */
  | { readonly kind: 'rejected'; readonly code: string; readonly message: string }
  /** The node failed with this file; others may succeed. */
  | { readonly kind: 'failed'; readonly message: string }
  | Unavailable

/** The node takes no files for now. */
export interface Unavailable {
  readonly kind: 'unavailable'
  readonly message: string
  readonly retryAfterSeconds: number
}

/** Of the file itself: too large, not an image, broken. A wrong request is another status, and no fault of the file. */
const OF_THE_FILE: readonly number[] = [413, 415, 422]
/** The decoder exceeds its timeout, or a bug of the node. */
const OF_FILE_OR_NODE: readonly number[] = [500, 504]
/** An operator has to change something: there is no hurry. */
const MISCONFIGURED_SECONDS = 30

export function judgeUpload(answer: UploadAnswer): UploadOutcome {
  const { status, error = `http_${status}`, message = `The node answered ${status}` } = answer
  if (status === 200 || status === 201) return { kind: 'stored' }
  if (OF_THE_FILE.includes(status)) return { kind: 'rejected', code: error, message }
  if (OF_FILE_OR_NODE.includes(status)) return { kind: 'failed', message }
  const advice = adviceFor(status)
  return {
    kind: 'unavailable',
    message: `the node answered ${status} ${error}: ${message}${advice === undefined ? '' : ` (${advice})`}`,
    retryAfterSeconds: answer.retryAfterSeconds ?? (isWrongRequest(status) ? MISCONFIGURED_SECONDS : 0),
  }
}

/**
 * What a node answered to the report of a rejected file.
 * @returns undefined if its event is durable. @throws Error for a status that another attempt does not change.
 */
export function judgeReport(answer: UploadAnswer): Unavailable | undefined {
  const { status, error = `http_${status}`, message = `The node answered ${status}` } = answer
  if (status === 202) return undefined
  const text = `the node answered ${status} ${error} to POST /events: ${message}`
  if (isWrongRequest(status))
    throw new Error(`${text} (${adviceFor(status) ?? 'the node may be older than this command'})`)
  return { kind: 'unavailable', message: text, retryAfterSeconds: answer.retryAfterSeconds ?? 0 }
}

function isWrongRequest(status: number): boolean {
  return status < 500 && status !== 408 && status !== 429
}

function adviceFor(status: number): string | undefined {
  if (status === 401 || status === 403) return 'DARKROOM_TOKEN should be one of the UPLOAD_TOKENS of the node'
  if (status === 400) return 'the node may be older than this command'
  if (status < 400 || status === 404 || status === 405) return 'is --url the address of a Darkroom node?'
  return undefined
}
