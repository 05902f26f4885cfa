import { isIP, connect as openSocket, type Socket } from 'node:net'
import { connect as openTlsSocket, TLSSocket } from 'node:tls'
import type { AddressBlock } from '../../domain/network/ip-address.ts'
import { isRemoteAddressAllowed } from '../../domain/network/remote-address.ts'
import { RequestError } from '../../errors.ts'
import type { RemoteDns } from './remote-dns.ts'
import { remoteFailed } from './remote-failure.ts'

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
