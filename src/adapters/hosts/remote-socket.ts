import { Resolver } from 'node:dns/promises'
import { isIP, connect as openSocket, type Socket } from 'node:net'
import { connect as openTlsSocket, TLSSocket } from 'node:tls'
import { type AddressBlock, isRemoteAddressAllowed } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import { codeOf, remoteFailed } from './remote-failure.ts'

export interface RemoteTarget {
  /** A name, or an address without brackets. */
  readonly hostname: string
  readonly port: number
  readonly secure: boolean
}

export interface RemoteSocketSettings {
  readonly dns: RemoteDns
  /** Allowed although they are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** For one address, TLS included. */
  readonly connectTimeoutMs: number
}

/**
 * @returns A connected socket, which the caller ends; with TLS its certificate was verified for the name.
 * @throws RequestError `remote_not_allowed`; RemoteError `remote_failed`; errors of sockets; the signal's reason.
 */
export type OpenRemoteSocket = (target: RemoteTarget, signal: AbortSignal) => Promise<Socket>

/** Of a host with many addresses. One of each family, so that a broken IPv6 does no harm. */
const MAX_ATTEMPTS = 2

/**
 * Looks a name up, checks all of its addresses, and connects to one of just those: between the check and the connection
 * nobody looks the name up again. A literal address goes the same way.
 */
export function createRemoteSocket({
  dns,
  allowedAddresses,
  connectTimeoutMs,
}: RemoteSocketSettings): OpenRemoteSocket {
  return async (target, signal) => {
    const { hostname } = target
    const addresses = isIP(hostname) === 0 ? await dns.resolve(hostname, signal) : [hostname]
    const forbidden = addresses.find((address) => !isRemoteAddressAllowed(address, allowedAddresses))
    if (forbidden !== undefined) {
      throw new RequestError('remote_not_allowed', 'The address of this host is not public (REMOTE_ALLOW_ADDRESSES)', {
        cause: new Error(`${hostname} resolves to ${forbidden}`),
      })
    }
    let failure: unknown
    for (const address of firstOfEach(addresses)) {
      try {
        return await connect({ ...target, address }, connectTimeoutMs, signal)
      } catch (error) {
        signal.throwIfAborted()
        failure = error
      }
    }
    throw failure
  }
}

/** The first two addresses, of different families if there are any. */
function firstOfEach(addresses: readonly string[]): readonly string[] {
  const [first = ''] = addresses
  const other = addresses.find((address) => isIP(address) !== isIP(first))
  return [...new Set([first, ...(other === undefined ? [] : [other]), ...addresses])].slice(0, MAX_ATTEMPTS)
}

function connect(
  { hostname, address, port, secure }: RemoteTarget & { readonly address: string },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const where = { host: address, port, noDelay: true, keepAlive: true, autoSelectFamily: false } as const
  // An address has no server name: its certificate is checked for the address itself.
  const name = isIP(hostname) === 0 ? { servername: hostname } : {}
  const socket = secure
    ? openTlsSocket({ ...where, ...name, ALPNProtocols: ['http/1.1'], rejectUnauthorized: true })
    : openSocket(where)
  const onAbort = (): void => void socket.destroy(new Error('Aborted', { cause: signal.reason }))
  const onError = (error: Error): void => {
    settle()
    const isUnverified = socket instanceof TLSSocket && Boolean(socket.authorizationError)
    reject(isUnverified ? remoteFailed('has no valid TLS certificate', error) : error)
  }
  const onConnect = (): void => {
    settle()
    resolve(socket)
  }
  const timer = setTimeout(() => socket.destroy(remoteFailed('did not accept the connection in time')), timeoutMs)
  const settle = (): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    socket.off(secure ? 'secureConnect' : 'connect', onConnect)
  }
  // It stays: a socket that fails later, before undici listens, would end the process.
  socket.on('error', onError)
  socket.once(secure ? 'secureConnect' : 'connect', onConnect)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return promise
}

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
