import { Resolver } from 'node:dns/promises'
import { isIP, connect as openSocket, type Socket } from 'node:net'
import { connect as openTlsSocket, TLSSocket } from 'node:tls'
import { type AddressBlock, isRemoteAddressAllowed } from '../../domain/network/ip-address.ts'
import { RemoteError, RequestError } from '../../errors.ts'

export interface RemoteTarget {
  /** A host name, or an address without brackets. */
  readonly hostname: string
  readonly port: number
  readonly secure: boolean
}

export interface RemoteSocketSettings {
  readonly dns: RemoteDns
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** For one address, including TLS. */
  readonly connectTimeoutMs: number
}

/**
 * @returns A connected socket, which the caller ends; with TLS its certificate was verified for the name.
 * @throws RequestError `remote_not_allowed`; RemoteError `remote_failed`; errors of sockets; the signal's reason.
 */
export type OpenRemoteSocket = (target: RemoteTarget, signal: AbortSignal) => Promise<Socket>

/** Attempts for a host with many addresses: one of each family, so that a broken IPv6 has no effect. */
const MAX_ATTEMPTS = 2

/**
 * Looks up a name, checks all of its addresses, and connects to one of them without another lookup. A literal address
 * is checked in the same way.
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
  // An address has no server name: the certificate is checked for the address.
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
  // The listener stays: a socket that fails before undici listens would end the process.
  socket.on('error', onError)
  socket.once(secure ? 'secureConnect' : 'connect', onConnect)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return promise
}

export interface RemoteDns {
  /**
   * All addresses of a name, IPv4 first; at least one. A family that has no result when the other has one is left out.
   * @throws RemoteError `remote_failed`; the signal's reason.
   */
  resolve(name: string, signal: AbortSignal): Promise<readonly string[]>
}

export interface RemoteDnsSettings {
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly servers: readonly string[]
  /** For all queries, servers and attempts together. */
  readonly timeoutMs: number
}

const TRIES = 3
/** Some name servers never answer queries for IPv6. RFC 8305, section 3, waits 50 ms. */
const OTHER_FAMILY_MS = 50

/**
 * Queries DNS servers with c-ares. `getaddrinfo` would block one of libuv's few threads while a server is silent; it
 * also reads `/etc/hosts`, which is about this machine and not the internet.
 */
export function createRemoteDns({ servers, timeoutMs }: RemoteDnsSettings): RemoteDns {
  return {
    async resolve(name, signal) {
      signal.throwIfAborted()
      // A resolver for each name: its queries can be cancelled, and a change of the system's servers applies at once.
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

/** @param reason Continues the sentence "The remote host …". */
export function remoteFailed(reason: string, cause?: unknown): RemoteError {
  return new RemoteError('remote_failed', `The remote host ${reason}`, { cause })
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
