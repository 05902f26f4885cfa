import { LRUCache } from 'lru-cache'
import { NotFoundLimitError } from '../../errors.ts'
import { entryBound } from '../tools/memoize.ts'

/** Rate limit for the store requests that clients cause with images that do not exist. */
export interface NotFoundBudget {
  /** @param client By `clientNetwork`. @returns The error for a request that needs the store, if the budget is spent. */
  refusal(client: string): NotFoundLimitError | undefined
  /** The image did not exist. @param cost Store requests. */
  spend(client: string, cost: number): void
}

export interface NotFoundBudgetOptions {
  /** Store requests of one client in any minute; 0: no limit. */
  readonly perMinute: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/** A token bucket: it is full after half a minute's worth of tokens, and half a minute's worth is added in a minute. */
interface Bucket {
  /** Below zero after requests that were in progress when it became empty. */
  tokens: number
  /** Time of the last refill. */
  at: number
}

interface Client extends Bucket {
  /** Time of the last request for a missing image. */
  spentAt: number
}

const MINUTE_MS = 60_000
/**
 * A node refills the common bucket as fast as those of this many clients. It holds less, so that a thousand clients that begin at
 * once do not take all of the store's time for seconds.
 */
const CLIENTS_WORTH = 20
const COMMON_CAPACITY = 2
/** The clients that spent their tokens the longest time ago are forgotten. An entry takes about 200 bytes. */
const MAX_CLIENTS = 20_000

/**
 * Token buckets by client, and one for all clients. The common one refuses only clients that requested a missing image in the last
 * minute: a client that requests existing images is never refused because of others.
 */
export function createNotFoundBudget({ perMinute, now }: NotFoundBudgetOptions): NotFoundBudget {
  if (perMinute === 0) return { refusal: () => undefined, spend() {} }
  const clients = new LRUCache<string, Client>(entryBound(MAX_CLIENTS))
  const capacity = perMinute / 2
  const all: Bucket = { tokens: capacity * COMMON_CAPACITY, at: now() }

  function refill(
    bucket: Bucket,
    { most, perMinute: rate }: { readonly most: number; readonly perMinute: number },
  ): void {
    const at = now()
    bucket.tokens = Math.min(most, bucket.tokens + ((at - bucket.at) / MINUTE_MS) * rate)
    bucket.at = at
  }

  const refillAll = () => refill(all, { most: capacity * COMMON_CAPACITY, perMinute: capacity * CLIENTS_WORTH })

  function bucketOf(client: string): Client | undefined {
    const own = clients.peek(client)
    if (own === undefined) return undefined
    refill(own, { most: capacity, perMinute: capacity })
    if (own.tokens < capacity || now() - own.spentAt < MINUTE_MS) return own
    clients.delete(client)
    return undefined
  }

  return {
    refusal(client) {
      const own = bucketOf(client)
      if (own === undefined) return undefined
      refillAll()
      if (own.tokens >= 1 && all.tokens >= 1) return undefined
      const waitMs = Math.max(0, ((1 - own.tokens) / capacity) * MINUTE_MS)
      const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
      return new NotFoundLimitError(
        `Too many requests of this client for images that do not exist (NOT_FOUND_PER_MINUTE=${perMinute}); ` +
          `try again in ${retryAfterSeconds} s. Images that this node knows are still served`,
        retryAfterSeconds,
      )
    },
    spend(client, cost) {
      const own = bucketOf(client) ?? { tokens: capacity, at: now(), spentAt: now() }
      own.spentAt = now()
      own.tokens -= cost
      clients.set(client, own)
      refillAll()
      all.tokens = Math.max(-capacity * COMMON_CAPACITY, all.tokens - cost)
    },
  }
}
