import { NotFoundLimitError } from '../../errors.ts'
import { unlessAborted } from '../tools/coalesce.ts'
import { createSeats } from './fair-shares.ts'
import { type Ask, createNotFoundTokens, type NotFoundTokens } from './not-found-tokens.ts'

/** Rate limit for the store requests that clients cause with images that do not exist. */
export interface NotFoundBudget {
  /** @param client By `clientNetwork`. @param cost Store requests if it does not exist. @returns undefined if it has to wait. */
  take(client: string, cost: number): Ask | undefined
  /** Waits for the tokens. @throws NotFoundLimitError if they would come too late, or too many requests wait. */
  wait(client: string, cost: number, signal: AbortSignal): Promise<Ask>
  /** Whether the store had an original for this client in the last minute. */
  isKnown(client: string): boolean
  /** Whether a request of this client for an unknown id would have to wait. */
  isSpent(client: string): boolean
}

export interface NotFoundBudgetOptions {
  /** Store requests of one client in any minute; 0: no limit. */
  readonly perMinute: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Longest wait of a client that has requested missing images. Default: 5 s. */
  readonly maxWaitMs?: number
}

/** Store requests for an original that does not exist. An id: mezzanine, original, mark of a deletion, alias. */
export const STORE_REQUESTS = { image: 4, object: 1, remote: 1 } as const
const MAX_WAIT_MS = 5000
/**
 * Requests that wait: of clients that have requested missing images, and of others, whose tokens come back soon. A client has at
 * most as many places as are free.
 */
const MAX_WAITING = { suspects: 256, others: 2000 } as const
/**
 * A client for which only missing images were found has no more requests waiting: browsers have at most so many at once. All of them are
 * then rejected, because most would be rejected later.
 */
const MAX_OF_STRANGER = 100

/** Between two looks at tokens that are expected: other clients may take those of the common bucket. */
const RETRY_MS = 20
/** The same for a new client that waits for other new clients: their tokens are back before, as a rule. */
const GATE_MS = 1000

const UNLIMITED: Ask = { found() {}, missing() {}, end() {}, leave() {} }

export function createNotFoundBudget(options: NotFoundBudgetOptions): NotFoundBudget {
  const { perMinute, now, maxWaitMs = MAX_WAIT_MS } = options
  if (perMinute === 0)
    return { take: () => UNLIMITED, wait: async () => UNLIMITED, isKnown: () => true, isSpent: () => false }
  const tokens = createNotFoundTokens({ perMinute, now, onSettled })
  const lines = new Map<string, Line>()
  /** New clients that wait for each other, in order of arrival. */
  const gated = new Set<string>()
  const places = { suspects: createSeats(MAX_WAITING.suspects), others: createSeats(MAX_WAITING.others) }

  function onSettled(client: string): void {
    lines.get(client)?.serve()
    cut(client)
    for (const next of gated) {
      if (tokens.isGated(next)) return
      gated.delete(next)
      lines.get(next)?.serve()
    }
  }

  /** Rejects the requests of a client that sends too many for missing images. */
  function cut(client: string): void {
    const line = lines.get(client)
    if (line === undefined || line.size <= MAX_OF_STRANGER) return
    if (tokens.isSuspect(client) && !tokens.isKnown(client)) line.reject(refusal(client, STORE_REQUESTS.image))
  }

  function refusal(client: string, cost: number): NotFoundLimitError {
    const retryAfterSeconds = Math.max(1, Math.ceil(tokens.untilMs(client, cost) / 1000))
    return new NotFoundLimitError(
      `Too many requests of this client for images that do not exist (NOT_FOUND_PER_MINUTE=${perMinute}); ` +
        `try again in ${retryAfterSeconds} s. Images that this node knows are still served`,
      retryAfterSeconds,
    )
  }

  function lineOf(client: string): Line {
    const known = lines.get(client)
    if (known) return known
    const line = createLine(client, tokens, {
      onGated: () => gated.add(client),
      onEmpty: () => {
        // A new line may have begun.
        if (lines.get(client) !== line) return
        lines.delete(client)
        gated.delete(client)
      },
    })
    lines.set(client, line)
    return line
  }

  return {
    // A request does not overtake those that wait.
    take: (client, cost) => (lines.has(client) ? undefined : tokens.take(client, cost)),
    async wait(client, cost, signal) {
      signal.throwIfAborted()
      const isHopeless = !tokens.mayReturn(client) && tokens.untilMs(client, cost) > maxWaitMs
      const seats = tokens.isSuspect(client) ? places.suspects : places.others
      if (isHopeless || seats.isFull(client)) throw refusal(client, cost)
      const leaveSeat = seats.take(client)
      const line = lineOf(client)
      const turn = Promise.withResolvers<Ask>()
      // Whoever gives up leaves the line at once, as tokens that are granted later would be lost.
      const giveUp = (reason: unknown) => {
        line.remove(waiter)
        turn.reject(reason)
      }
      const waiter: Waiter = { cost, grant: turn.resolve, reject: giveUp }
      // The tokens of a client without missing images only have to come back.
      const look = () => {
        if (tokens.isSuspect(client)) giveUp(refusal(client, cost))
        else timer = setTimeout(look, maxWaitMs)
      }
      let timer = setTimeout(look, maxWaitMs)
      line.add(waiter)
      cut(client)
      try {
        return await unlessAborted(turn.promise, signal, giveUp)
      } finally {
        clearTimeout(timer)
        line.remove(waiter)
        leaveSeat()
      }
    },
    isKnown: tokens.isKnown,
    isSpent: (client) => tokens.untilMs(client, STORE_REQUESTS.image) > 0,
  }
}

interface Waiter {
  readonly cost: number
  grant(ask: Ask): void
  reject(error: NotFoundLimitError): void
}

/** The waiting requests of one client, in order of arrival. */
interface Line {
  add(waiter: Waiter): void
  remove(waiter: Waiter): void
  /** Tokens may be there. */
  serve(): void
  /** All of them. */
  reject(error: NotFoundLimitError): void
  readonly size: number
}

interface LineEvents {
  /** It is to be served when a request of another new client is settled. */
  readonly onGated: () => void
  readonly onEmpty: () => void
}

function createLine(client: string, tokens: NotFoundTokens, { onGated, onEmpty }: LineEvents): Line {
  const waiting = new Set<Waiter>()
  let timer: NodeJS.Timeout | undefined

  function serve(): void {
    clearTimeout(timer)
    for (const waiter of waiting) {
      const ask = tokens.take(client, waiter.cost)
      if (ask === undefined) {
        const isGated = tokens.isGated(client)
        if (isGated) onGated()
        timer = setTimeout(serve, Math.max(isGated ? GATE_MS : RETRY_MS, tokens.untilMs(client, waiter.cost)))
        return
      }
      waiting.delete(waiter)
      waiter.grant(ask)
    }
    onEmpty()
  }

  return {
    add(waiter) {
      waiting.add(waiter)
      if (waiting.size === 1) serve()
    },
    remove(waiter) {
      waiting.delete(waiter)
      if (waiting.size > 0) return
      clearTimeout(timer)
      onEmpty()
    },
    serve,
    reject(error) {
      for (const waiter of waiting) waiter.reject(error)
    },
    get size() {
      return waiting.size
    },
  }
}
