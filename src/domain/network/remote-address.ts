import { type AddressBlock, isWithin, parseAddressBlock, parseIpAddress } from './ip-address.ts'

// All of IANA's special-purpose registry, those that can be reached from everywhere included: none holds a web server.
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

// Within 2000::/3. All else that holds an address of IPv4 (mapped, compatible, translated) is outside of it.
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
 * Whether an image may be fetched from there: from ordinary addresses of the public internet, and from the operator's
 * exceptions. What isn't plainly an address is refused.
 *
 * @param text As a resolver or the WHATWG's parser writes it, without brackets.
 */
export function isRemoteAddressAllowed(text: string, exceptions: readonly AddressBlock[]): boolean {
  const address = parseIpAddress(text)
  if (address === undefined) return false
  const isIn = (block: AddressBlock): boolean => isWithin(address, block)
  if (exceptions.some(isIn)) return true
  return address.family === 4 ? !SPECIAL_IPV4.some(isIn) : isIn(GLOBAL_IPV6) && !SPECIAL_IPV6.some(isIn)
}
