import { readFile } from 'node:fs/promises'
import { clientAddress, formatIpAddress } from '../../src/domain/network/ip-address.ts'
import { trustedProxies } from '../../src/node/services.ts'
import type { Check } from './check.ts'
import { ok, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 5000
/** RFC 5737: no proxy has this address. */
const FORWARDED_CLIENT = '192.0.2.1'

/**
 * The node trusts the X-Forwarded-For header of the proxies in front of it. The kernel's table of connections tells their
 * addresses, because proxies keep some connections open.
 */
export const proxiesCheck: Check = {
  name: 'proxies',
  async run({ config, url }) {
    if (url === undefined) return [skipped('Connections of proxies are examined with --url.')]
    const { port, hostname } = new URL(url)
    if (Number(port || 80) === config.PORT && (hostname === config.HOST || hostname === 'localhost'))
      return [skipped('--url is the node process itself, without a proxy.')]
    // Opens a connection from nginx to the node, if there is none.
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => undefined)
    const peers = answer === undefined ? [] : await peersOf(config.PORT)
    if (peers.length === 0) return [skipped('No connection of a proxy to this node was found.')]
    const proxies = trustedProxies(config)
    const strangers = peers.filter((peer) => clientAddress(peer, FORWARDED_CLIENT, proxies) !== FORWARDED_CLIENT)
    if (strangers.length === 0) return [ok(`X-Forwarded-For of ${peers.join(', ')} is trusted.`)]
    return [
      warning(
        `X-Forwarded-For of ${strangers.join(', ')} is not trusted, so all clients behind it count as one.`,
        `Set TRUSTED_PROXIES="${strangers.join(' ')}" if it is a proxy of yours; behind the nginx of this node, set ACCEL_PREFIX=/_renditions/.`,
      ),
    ]
  },
}

const ESTABLISHED = '01'

/** Addresses of the other ends of connections to a port of this machine. */
async function peersOf(port: number): Promise<readonly string[]> {
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => ''))
  const lines = (await Promise.all(tables)).flatMap((table) => table.split('\n').slice(1))
  const peers = lines.flatMap((line) => {
    const [, local = '', remote = '', state] = line.trim().split(/\s+/)
    const isOurs = state === ESTABLISHED && Number.parseInt(local.split(':')[1] ?? '', 16) === port
    return isOurs ? [readAddress(remote.split(':')[0] ?? '')] : []
  })
  return [...new Set(peers)]
}

/** Words of 32 bits in the byte order of the machine, which is little-endian on all that Darkroom runs on. */
function readAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? []
  const bigEndian = words.map((word) => word.match(/../g)?.toReversed().join('') ?? '').join('')
  const value = BigInt(`0x${bigEndian}`)
  // An IPv4 address that is mapped into IPv6.
  return clientAddress(formatIpAddress({ family: words.length === 1 ? 4 : 6, value }), '', [])
}
