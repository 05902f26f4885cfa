import type { Readable } from 'node:stream'
import { RemoteError } from '../../errors.ts'
import type { RemoteConnections } from './remote-connections.ts'
import { isDropped, toRemoteFailure } from './remote-failure.ts'
import type { RemoteHeaders } from './remote-freshness.ts'
import type { RemoteOrigins } from './remote-origins.ts'

/** One request and its answer, whatever that is. Whoever has it calls `end` once, in the end. */
export interface RemoteExchange {
  readonly status: number
  readonly headers: RemoteHeaders
  readonly body: Readable
  /** True if bytes came after the body that don't belong to it. Means something once the body was read. */
  isOverlong(): boolean
  /** Gives the place back. @param isWhole The body was read to its end, so that the connection can be used again. */
  end(isWhole: boolean): void
}

export interface RemoteExchangeSettings {
  readonly connections: RemoteConnections
  readonly origins: RemoteOrigins
}

export type AskRemote = (
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<RemoteExchange>

/**
 * Asks by GET. A kept connection that was closed meanwhile is no failure: then one is made anew.
 *
 * Throws what `toRemoteFailure` makes of undici's errors, what opening a connection throws, and the signal's reason.
 */
export function createRemoteExchange({ connections, origins }: RemoteExchangeSettings): AskRemote {
  return async (url, headers, signal) => {
    const { origin, pathname, search } = new URL(url)
    const request = { path: `${pathname}${search}`, headers }
    const turn = await origins.enter(origin, signal)
    for (let fresh = false; ; fresh = true) {
      const connection = connections.take(origin, fresh)
      try {
        const { statusCode, headers: answered, body } = await connection.get(request, signal)
        turn.answered()
        return {
          status: statusCode,
          headers: answered,
          body,
          isOverlong: () => connection.isOverlong(),
          end(isWhole) {
            if (isWhole) connection.keep()
            else connection.end()
            turn.leave()
          },
        }
      } catch (error) {
        connection.end()
        if (connection.isUsed && isDropped(error) && !signal.aborted) continue
        const failure: unknown = signal.aborted ? signal.reason : toRemoteFailure(error)
        if (failure instanceof RemoteError) turn.failed()
        turn.leave()
        throw failure
      }
    }
  }
}
