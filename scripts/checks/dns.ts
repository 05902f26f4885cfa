import { getServers } from 'node:dns'
import { lookup, Resolver } from 'node:dns/promises'
import { parseIpAddress } from '../../src/domain/network/ip-address.ts'
import type { RemoteHost } from '../../src/domain/network/remote-hosts.ts'
import { withTimeLimit } from '../time-limit.ts'
import type { Check, Checked } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 2000
/** The resolver of this machine, or the server, has no such name; it did answer. */
const NO_NAME = new Set(['ENOTFOUND', 'ENODATA'])

/** Host names in the settings can be resolved, and each DNS server for remote hosts answers. */
export const dnsCheck: Check = {
  name: 'dns',
  async run(checked) {
    const names = [...namesIn(checked)]
    const { REMOTE_HOSTS, REMOTE_DNS } = checked.config
    const asked = REMOTE_HOSTS.length === 0 ? [] : REMOTE_DNS.length > 0 ? REMOTE_DNS : getServers()
    const results = await Promise.all([
      ...names.map(([name, setting]) => nameResult(name, setting)),
      ...asked.map((server) => serverResult(server, REMOTE_HOSTS, REMOTE_DNS.length > 0)),
    ])
    return results.length > 0 ? results : [skipped('The settings contain no host names.')]
  },
}

/** Host names with the settings that contain them. */
function namesIn({ config, buckets }: Checked): ReadonlyMap<string, string> {
  const urls: (readonly [string, string])[] = [
    [config.S3_ENDPOINT, 'S3_ENDPOINT'],
    ...buckets.map(({ alias, endpoint = '' }) => [endpoint, `buckets.${alias}.endpoint in BUCKETS_FILE`] as const),
  ]
  const hosts = urls.flatMap(([url, setting]) => (url === '' ? [] : [[new URL(url).hostname, setting] as const]))
  return new Map(hosts.filter(([host]) => !isAddress(host)))
}

async function nameResult(name: string, setting: string): Promise<Result> {
  try {
    await withTimeLimit(TIMEOUT_MS, lookup(name))
    return ok(`${name} (${setting}) is resolved.`)
  } catch (error) {
    return failure(
      `${name} (${setting}) cannot be resolved: ${reasonOf(error)}.`,
      `Correct ${setting}, or the name servers in /etc/resolv.conf; "getent hosts ${name}" tries it.`,
    )
  }
}

async function serverResult(server: string, hosts: readonly RemoteHost[], isSet: boolean): Promise<Result> {
  const host = hosts.find(({ hostname, subdomains }) => hostname !== undefined && !subdomains && !isAddress(hostname))
  const name = host?.hostname ?? 'example.com'
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 1 })
  resolver.setServers([server])
  try {
    await resolver.resolve4(name)
    return ok(`The DNS server ${server} resolves ${name}.`)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!NO_NAME.has(code)) {
      return failure(
        `The DNS server ${server} for remote hosts does not answer (${code}).`,
        `Correct ${isSet ? 'REMOTE_DNS' : '/etc/resolv.conf, or set REMOTE_DNS'}, or let a firewall pass UDP and TCP port 53 to it.`,
      )
    }
    if (host === undefined) return ok(`The DNS server ${server} answers.`)
    return warning(
      `The DNS server ${server} has no IPv4 address for ${name}.`,
      `Correct ${name} in REMOTE_HOSTS, or its DNS records.`,
    )
  } finally {
    resolver.cancel()
  }
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith('[') || parseIpAddress(hostname) !== undefined
}
