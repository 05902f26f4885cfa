import { isIP } from 'node:net'
import { type AddressBlock, isRemoteAddressAllowed } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import { createRemoteDns } from './remote-socket.ts'

export interface SinkAddressSettings {
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly dnsServers: readonly string[]
}

const DNS_TIMEOUT_MS = 5000

/**
 * Looks up the host of a URL, or takes the address in it.
 * @returns All addresses, at least one.
 * @throws RequestError `remote_not_allowed` if one of them is not allowed; RemoteError `remote_failed` if there is none.
 */
export type SinkAddresses = (url: string, signal: AbortSignal) => Promise<readonly string[]>

/** The guard of sinks against addresses of the own network. */
export function createSinkAddresses({ allowedAddresses, dnsServers }: SinkAddressSettings): SinkAddresses {
  const dns = createRemoteDns({ servers: dnsServers, timeoutMs: DNS_TIMEOUT_MS })
  return async (url, signal) => {
    const hostname = new URL(url).hostname.replaceAll(/^\[|\]$/g, '')
    const addresses = isIP(hostname) === 0 ? await dns.resolve(hostname, signal) : [hostname]
    if (addresses.every((address) => isRemoteAddressAllowed(address, allowedAddresses))) return addresses
    throw new RequestError('remote_not_allowed', 'The address of this host is not public (SINK_ALLOW_ADDRESSES)')
  }
}
