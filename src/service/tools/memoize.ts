import { LRUCache } from 'lru-cache'
import { type ErrorCode, OriginalError, RemoteError, type ServiceError, UnavailableError } from '../../errors.ts'

/** Memory of an entry without its key: the result, and the slot of the map. */
const ENTRY_BYTES = 1024

/**
 * A pure function of a text with a cache of its latest results; errors are not cached.
 * @param maxBytes Approximate maximum memory.
 */
export function memoize<T extends object>(compute: (text: string) => T, maxBytes: number): (text: string) => T {
  const results = new LRUCache<string, T>({
    maxSize: maxBytes,
    sizeCalculation: (_, text) => ENTRY_BYTES + 2 * text.length,
  })
  return (text) => {
    const known = results.get(text)
    if (known !== undefined) return known
    // The text is mostly a part of a URL, and so are the parts of the result: they would keep the URL in memory.
    const own = unsharedText(text)
    const result = compute(own)
    results.set(own, result)
    return result
  }
}

/** Average memory of an entry. A key of a bucket has up to 1 KB, a URL several. */
const BYTES_EACH = 1024

/** Bound of an LRUCache in entries. With `max` it would allocate all of them at once: 1 MB for 50,000. */
export function entryBound(maxEntries: number) {
  return { maxSize: maxEntries, sizeCalculation: () => 1 }
}

/** Bounds of an LRUCache, in entries and in bytes. @param sizeOf Approximate memory of a value with its key. */
export function memoryBounds<V>(maxEntries: number, sizeOf: (value: V) => number) {
  return { max: maxEntries, maxSize: maxEntries * BYTES_EACH, sizeCalculation: sizeOf }
}

/**
 * A copy of a text that keeps no other text in memory. In V8 a substring of 13 or more characters keeps the whole text:
 * the id in a URL with a query of 20 KB keeps those 20 KB while the id is cached.
 *
 * @see https://bugs.chromium.org/p/v8/issues/detail?id=2869
 */
export function unsharedText(text: string): string {
  // JSON is exact for every string, including lone surrogates.
  const copy: unknown = JSON.parse(JSON.stringify(text))
  return String(copy)
}

/**
 * Failures of the last seconds (a negative cache). An `Error` is never cached: its stack keeps the failed request in
 * memory, about 10 KB. An entry is plain data, and `get` makes a new error of it.
 */
export interface RememberedFailures {
  /** @param error An error of a class that `get` does not return is not cached. */
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
/** Memory of an entry without its texts. */
const FAILURE_BYTES = 200

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
    sizeCalculation: ({ message }, key) => FAILURE_BYTES + 2 * (key.length + message.length),
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
