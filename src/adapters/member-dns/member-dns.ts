import { lookup, Resolver } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseIpAddress } from '../../domain/network/ip-address.ts'

/** A node that DNS names. */
export interface NamedHost {
  /** The address, or the target of an SRV record. */
  readonly host: string
  readonly address: string
  readonly port: number
}

/** Every method throws the resolver's error, or the signal's reason; a name without records is an empty answer. */
export interface MemberDns {
  /** A records, or AAAA records if there are no A records: a node with both is one node. */
  addresses(name: string, signal: AbortSignal): Promise<readonly string[]>
  /** SRV records, with an address of each target. Priority and weight are not used. */
  services(name: string, signal: AbortSignal): Promise<readonly NamedHost[]>
  /** The address of one host, as the system finds it: in /etc/hosts too, and in the search domains. */
  hostAddress(host: string, signal: AbortSignal): Promise<string>
}

const TIMEOUT_MS = 1000
const LOOKUP_MS = 3000
const TRIES = 2
const ABSENT: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])

/** @param servers As returned by `parseDnsServer`. Empty: those of the system. */
export function createMemberDns(servers: readonly string[]): MemberDns {
  async function query<T>(signal: AbortSignal, question: (resolver: Resolver) => Promise<T[]>): Promise<T[]> {
    signal.throwIfAborted()
    // A resolver for each question: it can be cancelled, and a change of the system's servers applies at once.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
    if (servers.length > 0) resolver.setServers(servers)
    const cancel = (): void => resolver.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      return await question(resolver)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Error && 'code' in error && ABSENT.has(String(error.code))) return []
      throw error
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  async function addresses(name: string, signal: AbortSignal): Promise<readonly string[]> {
    if (parseIpAddress(name)) return [name]
    const found = await query(signal, (resolver) => resolver.resolve4(name))
    const all = found.length > 0 ? found : await query(signal, (resolver) => resolver.resolve6(name))
    return all.toSorted()
  }

  return {
    addresses,
    async services(name, signal) {
      const records = await query(signal, (resolver) => resolver.resolveSrv(name))
      const hosts = records.map(async ({ name: host, port }) => {
        const [address] = await addresses(host, signal)
        return address === undefined ? [] : [{ host, address, port }]
      })
      return (await Promise.all(hosts)).flat()
    },
    async hostAddress(host, signal) {
      const plain = host.replaceAll(/^\[|\]$/g, '')
      if (parseIpAddress(plain)) return plain
      // It cannot be cancelled, and may take longer than anything should wait.
      const found = lookup(plain).then(({ address }) => address)
      found.catch(() => undefined)
      const ending = new AbortController()
      const late = delay(LOOKUP_MS, undefined, { signal: AbortSignal.any([signal, ending.signal]) }).then(() => {
        throw new Error(`the system did not resolve ${plain} within ${LOOKUP_MS / 1000} s`)
      })
      try {
        return await Promise.race([found, late])
      } finally {
        ending.abort()
        late.catch(() => undefined)
      }
    },
  }
}
