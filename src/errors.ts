/** Every failure that a client can be told of, by its stable name. `http/answer/error-response.ts` gives each its status. */
export type ErrorCode =
  | 'invalid_path'
  | 'invalid_upload'
  | 'invalid_event'
  | 'token_required'
  | 'tokens_not_configured'
  | 'size_not_allowed'
  | 'signature_invalid'
  | 'signature_expired'
  | 'remote_not_allowed'
  | 'route_not_found'
  | 'original_not_found'
  | 'bucket_not_found'
  | 'original_deleted'
  | 'precondition_failed'
  | 'method_not_allowed'
  | 'client_too_slow'
  | 'original_too_large'
  | 'original_unsupported'
  | 'range_not_satisfiable'
  | 'original_broken'
  | 'too_many_requests'
  | 'remote_failed'
  | 'store_unavailable'
  | 'store_full'
  | 'disk_unavailable'
  | 'overloaded'
  | 'timed_out'

/** Message of `overloaded` while too many requests wait to be rendered. nginx.conf has it too. */
export const RENDER_QUEUE_FULL = 'Too many requests are waiting for a renderer'

/**
 * A failure that can be expected. `message` may be shown to a client; what may not (an SDK's error, a bucket's name, a
 * path) travels in `cause`.
 */
export class ServiceError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The caller asked for something this service never serves. Repeating will not help. */
export class RequestError extends ServiceError {}

/** The original is missing, deleted or no image we decode. Repeating will not help. */
export class OriginalError extends ServiceError {}

/** A file that is taken over from elsewhere cannot be read, or is not the one that its name says. */
export class DamagedFileError extends OriginalError {
  constructor(message: string, options?: ErrorOptions) {
    super('original_broken', message, options)
  }
}

/** The host of a remote image failed: it did not answer, or not with an image. It may do better in a while. */
export class RemoteError extends ServiceError {}

/** A client asked for more than a limit allows. Answered with `Retry-After`. */
export class LimitError extends ServiceError {
  readonly retryAfterSeconds: number
  constructor(message: string, retryAfterSeconds: number) {
    super('too_many_requests', message)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** A dependency, or our own capacity, failed for now. Answered with `Retry-After`. */
export class UnavailableError extends ServiceError {
  /** When it may be worth another try; absent: nobody knows. */
  readonly retryAfterSeconds: number | undefined
  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { readonly retryAfterSeconds?: number }) {
    super(code, message, options)
    this.retryAfterSeconds = options?.retryAfterSeconds
  }
}

/** The version of an original that was to be read no longer exists. */
export class ChangedError extends UnavailableError {
  constructor() {
    super('store_unavailable', 'The original is being replaced; try again')
  }
}

/** A word of a setting that can't be read. The message says what is wrong with it, and what would be right. */
export class SettingError extends Error {}
