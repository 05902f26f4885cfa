import { Resolver } from 'node:dns/promises'
import { codeOf, remoteFailed } from './remote-failure.ts'

export interface RemoteDns {
  /**
   * All addresses of a name, those of IPv4 first; at least one. A family that has none yet when the other has is left out.
   * @throws RemoteError `remote_failed`; the signal's reason.
   */
  resolve(name: string, signal: AbortSignal): Promise<readonly string[]>
}

export interface RemoteDnsSettings {
  /** As `parseDnsServer` returns them. None: the system's. */
  readonly servers: readonly string[]
  /** All questions, all servers and all tries together. */
  readonly timeoutMs: number
}

const TRIES = 3
/** There are name servers that never answer about IPv6. RFC 8305, section 3, has 50 ms for who is that late. */
const OTHER_FAMILY_MS = 50

/**
 * Asks DNS servers itself, by c-ares. `getaddrinfo` would take up a thread of libuv's few for as long as a silent server
 * likes, while files and hashes wait; and it reads `/etc/hosts`, which is about this machine rather than the internet.
 */
export function createRemoteDns({ servers, timeoutMs }: RemoteDnsSettings): RemoteDns {
  return {
    async resolve(name, signal) {
      signal.throwIfAborted()
      // One for each name: what it has under way can be cancelled, and a change of the system's servers counts at once.
      const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 5), tries: TRIES })
      if (servers.length > 0) resolver.setServers(servers)
      const cancel = (): void => resolver.cancel()
      const timer = setTimeout(cancel, timeoutMs)
      let other: NodeJS.Timeout | undefined
      const waitForOther = (): void => {
        other ??= setTimeout(cancel, OTHER_FAMILY_MS)
      }
      signal.addEventListener('abort', cancel, { once: true })
      try {
        const questions = [resolver.resolve4(name), resolver.resolve6(name)]
        for (const question of questions) void question.then(waitForOther, () => {})
        const answers = await Promise.allSettled(questions)
        signal.throwIfAborted()
        const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
        if (addresses.length > 0) return addresses
        throw remoteFailed(
          reasonOf(answers),
          new AggregateError(answers.flatMap(errorsOf), `DNS lookup of ${name} failed`),
        )
      } finally {
        clearTimeout(timer)
        clearTimeout(other)
        signal.removeEventListener('abort', cancel)
      }
    },
  }
}

function reasonOf(answers: readonly PromiseSettledResult<unknown>[]): string {
  const codes = answers.flatMap(errorsOf).map(codeOf)
  const isAbsent = codes.every((code) => code === 'ENOTFOUND' || code === 'ENODATA')
  return isAbsent ? 'has no address in DNS' : 'could not be resolved in DNS'
}

function errorsOf(answer: PromiseSettledResult<unknown>): unknown[] {
  return answer.status === 'rejected' ? [answer.reason] : []
}
