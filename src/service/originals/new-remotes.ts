import { LimitError } from '../../errors.ts'

/** Bounds how many remote originals that nobody has asked for before a node adds to the store. */
export interface NewRemotes {
  /** @param client By `clientNetwork`. @throws LimitError `too_many_requests` if `enter` would. */
  assertRoom(client: string): void
  /** Takes a place; the caller says in the end whether an original was added. @throws LimitError `too_many_requests` */
  enter(client: string): NewRemotePlace
}

export interface NewRemotePlace {
  /** To be called once. @param added Whether the place stays taken for a minute, or is free again at once. */
  leave(added: boolean): void
}

export interface NewRemotesOptions {
  /** Of all clients together. */
  readonly perMinute: number
  readonly perClient: number
  /** Ms; a clock that nobody sets. */
  readonly now: () => number
}

interface Addition {
  readonly client: string
  readonly at: number
}

interface Client {
  pending: number
  /** When each of its originals was added in the last minute, the oldest first. */
  readonly added: number[]
}

const MINUTE_MS = 60_000

/**
 * Counts what is being added and what was added in the last minute, so that no minute has more than the bound, wherever it
 * begins. Only what holds a place is remembered: `perMinute` entries at most.
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

  /** @param oldest When the place that is free first was taken. Absent: all are held by what is still being fetched. */
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
