import ipaddr from 'ipaddr.js'
import { SettingError } from '../text/setting-error.ts'

/** An address as a number of 32 or 128 bits. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly value: bigint
}

/** Neighbouring addresses, both ends included. */
export interface AddressBlock {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

/**
 * Reads the spellings that a resolver and the WHATWG URL parser write: four plain decimal numbers, or the hexadecimal groups
 * of IPv6 (RFC 4291), without brackets. Shorter, octal or hexadecimal spellings of IPv4 and zone ids are not addresses here.
 *
 * @returns undefined for anything else.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const address = parse(text)
  return address && { family: familyOf(address), value: valueOf(address) }
}

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  // The URL parser judges first: ipaddr.js also reads zone ids, and takes `::192.0.2.7` for `::ffff:192.0.2.7`.
  if (!/^[\da-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]`)) return undefined
  return ipaddr.IPv6.parse(new URL(`http://[${text}]`).hostname.slice(1, -1))
}

function valueOf(address: ipaddr.IPv4 | ipaddr.IPv6): bigint {
  return BigInt(`0x${Buffer.from(address.toByteArray()).toString('hex')}`)
}

/** The shortest common spelling (RFC 5952); the inverse of `parseIpAddress`. */
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

/** An address of IPv4 that is written into one of IPv6 counts as IPv6. */
export function isWithin({ family, value }: IpAddress, block: AddressBlock): boolean {
  return family === block.family && block.first <= value && value <= block.last
}
