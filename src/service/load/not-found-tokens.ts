import { LRUCache } from 'lru-cache'
import { entryBound } from '../tools/memoize.ts'

/** Tokens that a request holds while it asks for an original that may not exist. Only the first call has an effect. */
export interface Ask {
  /** The store has it: the tokens come back, and as many more, for one that does not exist. */
  found(): void
  missing(): void
  /** The store was not asked, or did not answer: the tokens come back. */
  end(): void
  /** The client has left, so the answer is not known: the tokens are spent. */
  leave(): void
}

export interface NotFoundTokensOptions {
  /** Store requests of one client in any minute. */
  readonly perMinute: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** A request of this client was settled: it may have tokens again. */
  readonly onSettled: (client: string) => void
}

/** Token buckets by client, and one for all clients. A token is a request to the store. */
export interface NotFoundTokens {
  /** @returns undefined if the tokens are not there. */
  take(client: string, cost: number): Ask | undefined
  /** Whether the client has requested a missing original in the last minute. */
  isSuspect(client: string): boolean
  /** Whether a request of this client is in progress, whose tokens may come back. */
  mayReturn(client: string): boolean
  /** Whether the store had an original for this client in the last minute. */
  isKnown(client: string): boolean
  /** Whether this client has to wait for other new clients, even if it has tokens. */
  isGated(client: string): boolean
  /** Time until there are that many tokens, if none come back. */
  untilMs(client: string, cost: number): number
}

/** A token bucket. */
interface Bucket {
  tokens: number
  /** Time of the last refill. */
  at: number
}

interface Client extends Bucket {
  /** Time of the last answer that there is no such original. */
  missedAt: number
  /** Time of the last original that the store had. */
  foundAt: number
  /** Requests in progress. */
  asks: number
}

const MINUTE_MS = 60_000
/** The most expensive request: a bucket holds enough for one. */
const MOST_COST = 5
/** Most tokens of a client that has found many originals: enough for 32 ids at once. */
const MOST_TOKENS = 128
/** A node refills the common bucket as fast as those of this many clients; it is full after a second. */
const CLIENTS_WORTH = 20
/**
 * Requests in progress of new clients, for which nothing was found in the last minute, while the common bucket has no tokens for more
 * of them: otherwise 20 by default. A thousand addresses that begin at once leave the store to the clients that are known.
 */
const MAX_NEW = 8
/** The clients that asked the longest time ago are forgotten. An entry takes about 250 bytes. */
const MAX_CLIENTS = 20_000

/**
 * The tokens are taken before the store is asked, so that a client cannot ask for more at once than it has tokens. A bucket holds half
 * a second's worth and gets as much each second: in no second does a client cause more store requests than its rate. Originals that
 * are found add tokens: a client that requests existing images soon asks for many at once.
 *
 * The common bucket limits only clients that requested a missing original in the last minute: a client that requests existing images
 * is never limited because of others.
 */
export function createNotFoundTokens({ perMinute, now, onSettled }: NotFoundTokensOptions): NotFoundTokens {
  const clients = new LRUCache<string, Client>(entryBound(MAX_CLIENTS))
  const perMs = perMinute / 2 / MINUTE_MS
  const capacity = Math.max(MOST_COST, perMs * 1000)
  const commonPerMs = perMs * CLIENTS_WORTH
  const commonCapacity = Math.max(2 * MOST_COST, commonPerMs * 1000)
  const common: Bucket = { tokens: commonCapacity, at: now() }
  let newAsks = 0

  function clientOf(name: string): Client {
    const known = clients.get(name)
    const client = known ?? { tokens: capacity, at: now(), missedAt: -Infinity, foundAt: -Infinity, asks: 0 }
    if (known === undefined) clients.set(name, client)
    // What is above the capacity was earned; it is lost after a minute without requests.
    if (client.tokens <= capacity || now() - client.at > MINUTE_MS) refill(client, perMs, capacity)
    return client
  }

  function refill(bucket: Bucket, rate: number, most: number): void {
    bucket.tokens = Math.min(most, bucket.tokens + (now() - bucket.at) * rate)
    bucket.at = now()
  }

  function commonTokens(): number {
    refill(common, commonPerMs, commonCapacity)
    return common.tokens
  }

  function spendCommon(cost: number): void {
    common.tokens = Math.max(-commonCapacity, commonTokens() - cost)
  }

  const isSuspect = ({ missedAt }: Client) => now() - missedAt < MINUTE_MS
  const isKnown = ({ foundAt }: Client) => now() - foundAt < MINUTE_MS
  const isNew = ({ foundAt, missedAt }: Client) => now() - Math.max(foundAt, missedAt) >= MINUTE_MS
  // What is in progress may turn out to be missing: a slow store must not open the gate.
  const isUsedUp = () => commonTokens() < (newAsks + 1) * MOST_COST
  const isGated = (client: Client) => newAsks >= MAX_NEW && isNew(client) && isUsedUp()

  function begin(name: string, client: Client, cost: number): Ask {
    client.tokens -= cost
    client.at = now()
    client.asks += 1
    const one = isNew(client) ? 1 : 0
    newAsks += one
    let isOpen = true
    const settle = (back: number, learn?: () => void) => () => {
      if (!isOpen) return
      isOpen = false
      client.asks -= 1
      newAsks -= one
      client.tokens = Math.min(MOST_TOKENS, client.tokens + back)
      learn?.()
      onSettled(name)
    }
    return {
      found: settle(2 * cost, () => {
        client.foundAt = now()
      }),
      end: settle(cost),
      leave: settle(0, () => spendCommon(cost)),
      missing: settle(0, () => {
        client.missedAt = now()
        spendCommon(cost)
      }),
    }
  }

  return {
    take(name, cost) {
      const client = clientOf(name)
      if (client.tokens < cost || isGated(client) || (isSuspect(client) && commonTokens() < cost)) return undefined
      return begin(name, client, cost)
    },
    isSuspect: (name) => isSuspect(clientOf(name)),
    isKnown: (name) => {
      const client = clients.peek(name)
      return client !== undefined && isKnown(client)
    },
    isGated: (name) => isGated(clientOf(name)),
    mayReturn: (name) => clientOf(name).asks > 0,
    untilMs(name, cost) {
      const client = clientOf(name)
      const ownMs = (cost - client.tokens) / perMs
      const commonMs = isSuspect(client) ? (cost - commonTokens()) / commonPerMs : 0
      return Math.max(0, ownMs, commonMs)
    },
  }
}
