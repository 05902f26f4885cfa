import { type AddressBlock, formatIpAddress, type IpAddress, isWithin, parseIpAddress } from './ip-address.ts'

const MAPPED_IPV4 = 0xffffn << 32n
const IPV6_HOST_BITS = 64n

/**
 * Address of the client of a request that may have come through proxies. `X-Forwarded-For` is read from its end, where the
 * nearest proxy has written, and only as long as a trusted proxy vouches for the entry: whatever a client puts in front of
 * that is never reached.
 *
 * @param peer The other end of the connection; empty if it is gone.
 * @param forwardedFor As it came; empty if there is none.
 * @param proxies Trusted.
 * @returns `peer`, if no trusted proxy says otherwise.
 */
export function clientAddress(peer: string, forwardedFor: string, proxies: readonly AddressBlock[]): string {
  const address = parseIpAddress(peer)
  if (address === undefined) return peer
  let client = unmapped(address)
  for (const entry of forwardedFor.split(',').toReversed()) {
    if (!proxies.some((block) => isWithin(client, block))) break
    const before = parseForwarded(entry.trim())
    if (before === undefined) break
    client = before
  }
  return formatIpAddress(client)
}

/**
 * The part of an address that names one client: the first 64 bits of IPv6, of which one client has all the rest, and the
 * whole of IPv4.
 *
 * @example clientNetwork('2001:db8::1:2') // '2001:db8::/64'
 */
export function clientNetwork(address: string): string {
  const parsed = parseIpAddress(address)
  if (parsed?.family !== 6) return address
  const value = (parsed.value >> IPV6_HOST_BITS) << IPV6_HOST_BITS
  return `${formatIpAddress({ family: 6, value })}/64`
}

/** An entry as proxies write it: an address, in brackets or not, with a port or without. */
function parseForwarded(entry: string): IpAddress | undefined {
  const { bracketed, plain } =
    /^(?:\[(?<bracketed>[^\]]*)\](?::\d+)?|(?<plain>[^:]*)(?::\d+)?)$/.exec(entry)?.groups ?? {}
  const address = parseIpAddress(bracketed ?? plain ?? entry)
  return address && unmapped(address)
}

/** A socket that listens on IPv6 as well gives addresses of IPv4 as `::ffff:192.0.2.7`. */
function unmapped({ family, value }: IpAddress): IpAddress {
  const isMapped = family === 6 && value >> 32n === MAPPED_IPV4 >> 32n
  return isMapped ? { family: 4, value: value & 0xffff_ffffn } : { family, value }
}
