import { LimitError } from '../../errors.ts'

/** Rate limit for the remote images that a node adds to the store. Images that are known already do not count. */
export interface NewRemotes {
  /** @param client By `clientNetwork`. @throws LimitError `too_many_requests` if `enter` would. */
  assertRoom(client: string): void
  /** Takes a place for one fetch. @throws LimitError `too_many_requests` */
  enter(client: string): NewRemotePlace
}

export interface NewRemotePlace {
  /** Ends the fetch; called once. @param added An original was added: the place stays taken for a minute. */
  leave(added: boolean): void
}

export interface NewRemotesOptions {
  /** For all clients together. */
  readonly perMinute: number
  readonly perClient: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

interface Addition {
  readonly client: string
  readonly at: number
}

interface Client {
  pending: number
  /** Times of the additions in the last minute, the oldest first. */
  readonly added: number[]
}

const MINUTE_MS = 60_000

/**
 * A sliding window over the fetches in progress and the additions of the last minute: no period of a minute has more. Memory
 * has `perMinute` entries at most.
 */
export function createNewRemotes({ perMinute, perClient, now }: NewRemotesOptions): NewRemotes {
  const additions = new Set<Addition>()
  const clients = new Map<string, Client>()
  let pending = 0

  function forgetOld(): void {
    for (const addition of additions) {
      if (addition.at > now() - MINUTE_MS) return
      additions.delete(addition)
      clients.get(addition.client)?.added.shift()
      forgetIdle(addition.client)
    }
  }

  function forgetIdle(name: string): void {
    const client = clients.get(name)
    if (client?.pending === 0 && client.added.length === 0) clients.delete(name)
  }

  function assertRoom(name: string): void {
    forgetOld()
    const client = clients.get(name)
    if (client && client.pending + client.added.length >= perClient) {
      throw refusal(`from this client (REMOTE_NEW_PER_CLIENT=${perClient})`, client.added[0])
    }
    if (pending + additions.size >= perMinute) {
      const [oldest] = additions
      throw refusal(`from all clients (REMOTE_NEW_PER_MINUTE=${perMinute})`, oldest?.at)
    }
  }

  /** @param oldest Time of the addition that expires first. Absent: fetches in progress hold all places. */
  function refusal(whose: string, oldest: number | undefined): LimitError {
    const freeInMs = oldest === undefined ? MINUTE_MS : oldest + MINUTE_MS - now()
    const retryAfterSeconds = Math.max(1, Math.ceil(freeInMs / 1000))
    return new LimitError(
      `Rate limit exceeded for new remote images per minute ${whose}; ` +
        `try again in ${retryAfterSeconds} s. Known images are still served`,
      retryAfterSeconds,
    )
  }

  return {
    assertRoom,
    enter(name) {
      assertRoom(name)
      const client = clients.get(name) ?? { pending: 0, added: [] }
      clients.set(name, client)
      client.pending += 1
      pending += 1
      return {
        leave(added) {
          client.pending -= 1
          pending -= 1
          const at = now()
          if (added) {
            client.added.push(at)
            additions.add({ client: name, at })
          }
          forgetIdle(name)
        },
      }
    },
  }
}
