import { writeFile } from 'node:fs/promises'
import { Resolver } from 'node:dns/promises'
import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, type RunningServer, startServer } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { ensureDnsmasq } from './install-servers.ts'
import { stopAfter } from './site.ts'

const READY_TIMEOUT_MS = 20_000

/** A real DNS server on loopback, which knows one zone: nodes.test. */
export interface Dnsmasq {
  /** As `parseDnsServer` writes it. */
  readonly server: string
  /** Replaces all records: lines of its configuration, such as `host-record=a.nodes.test,127.0.0.2`. */
  setRecords(records: readonly string[]): Promise<void>
  /** No answers from now on. */
  stop(): Promise<void>
}

export async function startDnsmasq(t: Scope, records: readonly string[]): Promise<Dnsmasq> {
  const command = await ensureDnsmasq()
  const port = await freePort()
  let running: RunningServer | undefined
  const stop = async () => await running?.stop()
  const setRecords = async (lines: readonly string[]) => {
    await stop()
    running = await start(command, port, lines)
  }
  stopAfter(t, stop)
  await setRecords(records)
  return { server: `127.0.0.1:${port}`, setRecords, stop }
}

async function start(command: string, port: number, records: readonly string[]): Promise<RunningServer> {
  const folder = await createServerFolder('dnsmasq')
  const file = join(folder, 'dnsmasq.conf')
  const own = ['bind-interfaces', 'listen-address=127.0.0.1', `port=${port}`, 'no-resolv', 'no-hosts', 'user=']
  await writeFile(file, [...own, 'local=/test/', 'host-record=up.nodes.test,127.0.0.1', ...records, ''].join('\n'))
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  return await startServer({
    name: 'dnsmasq',
    command,
    args: ['--keep-in-foreground', `--conf-file=${file}`, '--pid-file'],
    folder,
    isReady: async () => (await resolver.resolve4('up.nodes.test')).length === 1,
    readyTimeoutMs: READY_TIMEOUT_MS,
    endsBy: 'KILL',
  })
}
