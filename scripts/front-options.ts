import { resolve } from 'node:path'
import { parseDnsServer } from '../src/domain/network/ip-address.ts'
import { type CommandLine, type ParsedCommand, parseCommandLine } from './command-line.ts'

export const USAGE = `Usage: scripts/front [options]

Keeps the servers of a HAProxy with packaging/haproxy/haproxy.cfg in step with the nodes that there are: it adds, drains
and removes them through HAProxy's runtime socket, without a reload. It runs beside each HAProxy, until it is stopped.
Servers of the configuration file are left alone. If the source does not respond, the last known nodes stay.

  --socket <path>       the runtime socket of HAProxy; default: /run/haproxy/admin.sock
  --dns <name>          the nodes are the addresses of this name (A or AAAA records, with --port), or its SRV records;
                        default: the nodes that are registered in the store, by NODE_ADDRESS
  --port <n>            port of the nodes' nginx, with --dns
  --dns-server <addr>   the DNS server, such as 127.0.0.1:8600; default: those of the system
  --interval <seconds>  of queries to the source, 1 to 60; default: 2
  --keep <seconds>      how long a node stays that DNS does not name any more, or whose entry is not renewed, 10 to
                        3600; checks find a node that is gone within 3 s; default: 60
  --metrics <file>      write metrics for the textfile collector of Prometheus' node exporter
  --once                end when the servers are in step
  --help                print this help

Environment, without --dns: the settings of the node (docs/settings.md). STORE and its credentials select the store,
which is only read.

Exit code: 0 stopped, or in step (--once); 1 not in step (--once); 2 invalid options or settings.
`

export interface FrontOptions {
  readonly socket: string
  /** Absent: the registry in the store. */
  readonly dns?: DnsSource
  readonly intervalMs: number
  readonly keepMs: number
  readonly metricsFile?: string
  readonly once: boolean
}

export interface DnsSource {
  readonly name: string
  /** Absent: SRV records, which have ports. */
  readonly port?: number
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly servers: readonly string[]
}

const TEXT = { type: 'string' } as const
const FLAGS = {
  socket: TEXT,
  dns: TEXT,
  port: TEXT,
  'dns-server': TEXT,
  interval: TEXT,
  keep: TEXT,
  metrics: TEXT,
  once: { type: 'boolean' },
} as const
const DNS_NAME = /^(?=.{1,254}$)(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?$/

/** Parses the command line. @returns the options, or all mistakes. */
export function parseFront(args: readonly string[]): ParsedCommand<FrontOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line, problems) => {
    const number = numberReader(line, problems)
    const dns = dnsSource(line, problems)
    const metrics = line.given.get('metrics')
    return {
      socket: resolve(line.given.get('socket') ?? '/run/haproxy/admin.sock'),
      ...(dns && { dns }),
      intervalMs: number('interval', 2, [1, 60]) * 1000,
      keepMs: number('keep', 60, [10, 3600]) * 1000,
      ...(metrics !== undefined && { metricsFile: resolve(metrics) }),
      once: line.given.has('once'),
    }
  })
}

function dnsSource(line: CommandLine, problems: string[]): DnsSource | undefined {
  const { given } = line
  const name = given.get('dns')
  if (name === undefined) {
    for (const option of ['port', 'dns-server']) {
      if (given.has(option)) problems.push(`--${option}: requires --dns`)
    }
    return undefined
  }
  if (!DNS_NAME.test(name)) problems.push(`--dns: "${name}" is not a DNS name such as nodes.example.com`)
  const port = given.has('port') ? numberReader(line, problems)('port', 80, [1, 65_535]) : undefined
  return { name, ...(port !== undefined && { port }), servers: dnsServers(given.get('dns-server'), problems) }
}

function dnsServers(text: string | undefined, problems: string[]): readonly string[] {
  try {
    return text === undefined ? [] : [parseDnsServer(text)]
  } catch (error) {
    problems.push(`--dns-server: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
}

function numberReader({ given }: CommandLine, problems: string[]) {
  return (name: keyof typeof FLAGS, preset: number, [least, most]: readonly [number, number]): number => {
    const text = given.get(name) ?? String(preset)
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    problems.push(`--${name}: "${text}" is not a whole number from ${least} to ${most}`)
    return preset
  }
}
