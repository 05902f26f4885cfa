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
 * Reads the spellings that a resolver and the WHATWG's parser give: four plain decimal numbers, or the hexadecimal groups
 * of IPv6 (RFC 4291), without brackets. Shorter, octal or hexadecimal spellings of IPv4 and zone ids are no addresses here.
 *
 * @returns undefined for anything else.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined
  }
  return { family: 4, value: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) }
}

function parseIpv6(text: string): IpAddress | undefined {
  // The platform's own parser judges it, and writes it as groups alone.
  if (!/^[\da-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]`)) return undefined
  const [head = '', tail = ''] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const left = head.split(':').filter((group) => group !== '')
  const right = tail.split(':').filter((group) => group !== '')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  const groups = [...left, ...zeros, ...right]
  return { family: 6, value: groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n) }
}

/** The shortest common spelling; the inverse of `parseIpAddress`. */
export function formatIpAddress({ family, value }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 65_535n)
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

/**
 * Reads one address, or a block as `10.1.0.0/16` and `fd00::/8`.
 *
 * @throws SettingError
 */
export function parseAddressBlock(text: string): AddressBlock {
  const [start = '', length, ...more] = text.split('/')
  const address = parseIpAddress(start)
  const bits = address?.family === 4 ? 32 : 128
  if (address === undefined || more.length > 0 || !isPrefixLength(length ?? String(bits), bits)) {
    throw new SettingError(`"${text}" should be an address or a CIDR block such as 192.0.2.7, 10.1.0.0/16 or fd00::/8`)
  }
  const sizeBits = BigInt(bits - Number(length ?? bits))
  const first = (address.value >> sizeBits) << sizeBits
  if (first !== address.value) {
    const right = `${formatIpAddress({ family: address.family, value: first })}/${length}`
    throw new SettingError(`"${text}" has host bits set; the block is "${right}"`)
  }
  return { family: address.family, first, last: first + (1n << sizeBits) - 1n }
}

function isPrefixLength(text: string, bits: number): boolean {
  return /^\d{1,3}$/.test(text) && Number(text) <= bits
}

/** An address of IPv4 that is written into one of IPv6 counts as IPv6. */
export function isWithin({ family, value }: IpAddress, block: AddressBlock): boolean {
  return family === block.family && block.first <= value && value <= block.last
}
