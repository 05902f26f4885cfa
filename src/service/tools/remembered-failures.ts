import { LRUCache } from 'lru-cache'
import { type ErrorCode, OriginalError, RemoteError, type ServiceError, UnavailableError } from '../../errors.ts'

/**
 * Failures of the last seconds (a negative cache). An `Error` is never kept: its stack holds the request that failed, about
 * 10 KB. An entry is plain data, and `get` makes a new error of it.
 */
export interface RememberedFailures {
  /** @param error An error of a class that `get` does not return is not kept. */
  set(key: string, error: ServiceError, ttlMs: number): void
  /** @returns an OriginalError, RemoteError or UnavailableError with the same code and message, without a cause. */
  get(key: string): ServiceError | undefined
  /** Whether there is an entry, even an expired one. */
  has(key: string): boolean
  delete(key: string): void
}

export interface RememberedFailuresOptions {
  /** Entries at most; never more than 10,000. */
  readonly maxRemembered: number
  /** Milliseconds. A clock that is set back expires all entries. */
  readonly now: () => number
}

const MAX_ENTRIES = 10_000
const MAX_BYTES = 4 * 1024 * 1024
/** Of an entry without its texts. */
const ENTRY_BYTES = 200

type Kind = 'original' | 'remote' | 'unavailable'

interface Failure {
  readonly kind: Kind
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfterSeconds: number | undefined
  readonly at: number
  readonly ttlMs: number
}

export function createRememberedFailures({ maxRemembered, now }: RememberedFailuresOptions): RememberedFailures {
  const failures = new LRUCache<string, Failure>({
    max: Math.min(maxRemembered, MAX_ENTRIES),
    maxSize: MAX_BYTES,
    sizeCalculation: ({ message }, key) => ENTRY_BYTES + 2 * (key.length + message.length),
  })
  return {
    set(key, error, ttlMs) {
      const kind = kindOf(error)
      if (kind === undefined) return
      const { code, message } = error
      const retryAfterSeconds = error instanceof UnavailableError ? error.retryAfterSeconds : undefined
      failures.set(key, { kind, code, message, retryAfterSeconds, at: now(), ttlMs })
    },
    get(key) {
      const failure = failures.get(key)
      if (failure === undefined) return undefined
      const age = now() - failure.at
      return age >= 0 && age < failure.ttlMs ? toError(failure) : undefined
    },
    has: (key) => failures.has(key),
    delete: (key) => void failures.delete(key),
  }
}

function kindOf(error: ServiceError): Kind | undefined {
  if (error instanceof OriginalError) return 'original'
  if (error instanceof RemoteError) return 'remote'
  return error instanceof UnavailableError ? 'unavailable' : undefined
}

function toError({ kind, code, message, retryAfterSeconds }: Failure): ServiceError {
  switch (kind) {
    case 'original':
      return new OriginalError(code, message)
    case 'remote':
      return new RemoteError(code, message)
    case 'unavailable':
      return new UnavailableError(code, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
  }
}
