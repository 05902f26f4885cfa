import ipaddr from 'ipaddr.js'
import { SettingError } from '../../errors.ts'

/** An address as a number of 32 or 128 bits. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly value: bigint
}

/** A range of addresses, both ends included. */
export interface AddressBlock {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

/**
 * Reads the spellings that resolvers and the WHATWG URL parser produce: four plain decimal numbers, or the hexadecimal
 * groups of IPv6 (RFC 4291), without brackets. Shorter, octal or hexadecimal spellings of IPv4 and zone ids are
 * rejected.
 *
 * @returns undefined for anything else.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const address = parse(text)
  return address && { family: familyOf(address), value: valueOf(address) }
}

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  // The URL parser checks first: ipaddr.js also accepts zone ids, and treats `::192.0.2.7` as `::ffff:192.0.2.7`.
  if (!/^[\da-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]`)) return undefined
  return ipaddr.IPv6.parse(new URL(`http://[${text}]`).hostname.slice(1, -1))
}

function valueOf(address: ipaddr.IPv4 | ipaddr.IPv6): bigint {
  return BigInt(`0x${Buffer.from(address.toByteArray()).toString('hex')}`)
}

/** The canonical spelling (RFC 5952); the inverse of `parseIpAddress`. */
export function formatIpAddress({ family, value }: IpAddress): string {
  const bytes = Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
  return ipaddr.fromByteArray([...bytes]).toString()
}

/**
 * Reads one address, or a block as `10.1.0.0/16` and `fd00::/8`.
 *
 * @throws SettingError
 */
export function parseAddressBlock(text: string): AddressBlock {
  const [start = '', length, ...more] = text.split('/')
  const address = parse(start)
  const Kind = address?.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
  const cidr = `${String(address)}/${length ?? (Kind === ipaddr.IPv4 ? 32 : 128)}`
  if (address === undefined || more.length > 0 || !Kind.isValidCIDR(cidr)) {
    throw new SettingError(`"${text}" should be an address or a CIDR block such as 192.0.2.7, 10.1.0.0/16 or fd00::/8`)
  }
  const first = Kind.networkAddressFromCIDR(cidr)
  if (first.toString() !== address.toString()) {
    const right = `${first.toString()}/${length}`
    throw new SettingError(`"${text}" has host bits set; the block is "${right}"`)
  }
  const last = Kind.broadcastAddressFromCIDR(cidr)
  return { family: familyOf(address), first: valueOf(first), last: valueOf(last) }
}

function familyOf(address: ipaddr.IPv4 | ipaddr.IPv6): 4 | 6 {
  return address.kind() === 'ipv4' ? 4 : 6
}

/** An IPv4 address embedded in an IPv6 address counts as IPv6. */
function isWithin({ family, value }: IpAddress, block: AddressBlock): boolean {
  return family === block.family && block.first <= value && value <= block.last
}

/**
 * Reads the address of a DNS server: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
 *
 * @returns In the notation of Node's resolver, with the port.
 * @throws SettingError
 */
export function parseDnsServer(text: string): string {
  const [, bracketed, plain, digits = '53'] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = parseIpAddress(bracketed ?? plain ?? text)
  const port = Number(digits)
  if (address === undefined || (bracketed !== undefined && address.family === 4) || port < 1 || port > 65_535) {
    throw new SettingError(`"${text}" should be the address of a DNS server such as 192.0.2.53 or [2001:db8::53]:5353`)
  }
  const host = formatIpAddress(address)
  return address.family === 4 ? `${host}:${port}` : `[${host}]:${port}`
}

// All of IANA's special-purpose registry, including the globally reachable blocks: none contains a web server.
// https://www.iana.org/assignments/iana-ipv4-special-registry
const SPECIAL_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // behind a carrier's NAT; metadata of some clouds
  '127.0.0.0/8', // loopback
  '168.63.129.16', // public by its number, but Azure's machines find their host there
  '169.254.0.0/16', // link-local; metadata of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
].map(parseAddressBlock)

const GLOBAL_IPV6 = parseAddressBlock('2000::/3')

// Within 2000::/3. Other addresses with an embedded IPv4 address (mapped, compatible, translated) are outside of it.
// https://www.iana.org/assignments/iana-ipv6-special-registry
const SPECIAL_IPV6 = [
  '2001::/23', // protocol assignments: Teredo, ORCHID, benchmarks, AMT
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4: holds an address of IPv4
  '2620:4f:8000::/48', // AS112
  '3ffe::/16', // was 6bone's
  '3fff::/20', // documentation
].map(parseAddressBlock)

/**
 * Whether an image may be fetched from this address: ordinary addresses of the public internet, and the operator's
 * exceptions. Anything that is not an address is refused.
 *
 * @param text As a resolver or the WHATWG URL parser returns it, without brackets.
 */
export function isRemoteAddressAllowed(text: string, exceptions: readonly AddressBlock[]): boolean {
  const address = parseIpAddress(text)
  if (address === undefined) return false
  const isIn = (block: AddressBlock): boolean => isWithin(address, block)
  if (exceptions.some(isIn)) return true
  return address.family === 4 ? !SPECIAL_IPV4.some(isIn) : isIn(GLOBAL_IPV6) && !SPECIAL_IPV6.some(isIn)
}

const MAPPED_IPV4 = 0xffffn << 32n
const IPV6_HOST_BITS = 64n

/**
 * Address of the client of a request that may have come through proxies. `X-Forwarded-For` is read from its end, the
 * entry of the nearest proxy, and only while the entries come from trusted proxies: entries that a client sends are
 * never reached.
 *
 * @param peer Remote address of the connection; empty if it is closed.
 * @param forwardedFor The header as sent; empty if there is none.
 * @param proxies Trusted proxies.
 * @returns `peer`, unless a trusted proxy names another address.
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
 * Whether a connection, and every proxy and client that `X-Forwarded-For` names, comes from these networks: an outsider behind a
 * proxy of a trusted network is recognised even if that proxy is not configured.
 *
 * @param peer Remote address of the connection.
 * @param forwardedFor The header as sent; empty if there is none.
 */
export function isWithinNetworks(peer: string, forwardedFor: string, networks: readonly AddressBlock[]): boolean {
  const direct = parseIpAddress(peer)
  const forwarded =
    forwardedFor.trim() === '' ? [] : forwardedFor.split(',').map((entry) => parseForwarded(entry.trim()))
  return [direct && unmapped(direct), ...forwarded].every(
    (address) => address !== undefined && networks.some((block) => isWithin(address, block)),
  )
}

/**
 * The part of an address that identifies a client: the first 64 bits of IPv6, and the whole of IPv4.
 *
 * @example clientNetwork('2001:db8::1:2') // '2001:db8::/64'
 */
export function clientNetwork(address: string): string {
  const parsed = parseIpAddress(address)
  if (parsed?.family !== 6) return address
  const value = (parsed.value >> IPV6_HOST_BITS) << IPV6_HOST_BITS
  return `${formatIpAddress({ family: 6, value })}/64`
}

/** An entry of the header: an address with or without brackets, with or without a port. */
function parseForwarded(entry: string): IpAddress | undefined {
  const { bracketed, plain } =
    /^(?:\[(?<bracketed>[^\]]*)\](?::\d+)?|(?<plain>[^:]*)(?::\d+)?)$/.exec(entry)?.groups ?? {}
  const address = parseIpAddress(bracketed ?? plain ?? entry)
  return address && unmapped(address)
}

/** A dual-stack socket reports IPv4 addresses as `::ffff:192.0.2.7`. */
function unmapped({ family, value }: IpAddress): IpAddress {
  const isMapped = family === 6 && value >> 32n === MAPPED_IPV4 >> 32n
  return isMapped ? { family: 4, value: value & 0xffff_ffffn } : { family, value }
}
