/**
 * Every failure that a client can receive, by its stable code. `http/answer/error-response.ts` gives each its status.
 */
export type ErrorCode =
  | 'invalid_path'
  | 'invalid_upload'
  | 'invalid_event'
  | 'invalid_purge'
  | 'invalid_cursor'
  | 'cursor_expired'
  | 'token_required'
  | 'tokens_not_configured'
  | 'size_not_allowed'
  | 'signature_invalid'
  | 'signature_expired'
  | 'remote_not_allowed'
  | 'peer_not_allowed'
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
 * An expected failure. `message` is shown to clients; anything confidential (an SDK's error, a bucket name, a path) is
 * in `cause`.
 */
export class ServiceError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The request is invalid or not allowed. Repeating it will not help. */
export class RequestError extends ServiceError {}

/** The original is missing, deleted or not a supported image. Repeating the request will not help. */
export class OriginalError extends ServiceError {}

/**
 * The image was deleted or purged while a result was made of it. After a deletion the next attempt finds it deleted; after a purge,
 * or if it was uploaded again, that attempt succeeds.
 */
export class InvalidatedError extends OriginalError {
  constructor() {
    super('original_deleted', 'This image was deleted')
  }
}

/** A cursor is older than the events that are kept. */
export class CursorExpiredError extends RequestError {
  /** The oldest valid cursor. */
  readonly oldest: string
  constructor(oldest: string) {
    super(
      'cursor_expired',
      'Events after this cursor are no longer kept: continue with "oldest", and compare with GET /images',
    )
    this.oldest = oldest
  }
}

/** A file to be imported cannot be read, or does not match its name. */
export class DamagedFileError extends OriginalError {
  constructor(message: string, options?: ErrorOptions) {
    super('original_broken', message, options)
  }
}

/** The host of a remote image failed: it did not respond, or not with an image. A later request may succeed. */
export class RemoteError extends ServiceError {}

/** A client exceeded a limit. Answered with `Retry-After`. */
export class LimitError extends ServiceError {
  readonly retryAfterSeconds: number
  constructor(message: string, retryAfterSeconds: number) {
    super('too_many_requests', message)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** A client requested too many images that do not exist. Images that this node knows are still served. */
export class NotFoundLimitError extends LimitError {}

/** A dependency failed, or the capacity is exhausted. Answered with `Retry-After`. */
export class UnavailableError extends ServiceError {
  /** Absent: unknown. */
  readonly retryAfterSeconds: number | undefined
  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { readonly retryAfterSeconds?: number }) {
    super(code, message, options)
    this.retryAfterSeconds = options?.retryAfterSeconds
  }
}

/** The requested version of an original no longer exists. */
export class ChangedError extends UnavailableError {
  constructor() {
    super('store_unavailable', 'The original is being replaced; try again')
  }
}

/** An invalid value in a setting. The message names the mistake and a correct value. */
export class SettingError extends Error {}
