import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runQuietly } from './process.ts'
import type { Scope } from './scope.ts'

/** A network namespace with many addresses, which reaches this machine over a pair of virtual interfaces and nothing else. */
export interface NetworkNamespace {
  /** Of this machine, for the processes of the namespace. */
  readonly hostAddress: string
  readonly addresses: readonly string[]
  /** To run a command in the namespace: `[...through, command, ...args]`. */
  readonly through: readonly string[]
}

/** The range that is reserved for benchmarks: https://www.rfc-editor.org/rfc/rfc2544 */
const NETWORK = '198.18'
const MAX_ADDRESSES = 60_000

/**
 * @param count Addresses of the namespace.
 * @throws Error unless the process is root and has Debian's package iproute2.
 */
export async function createNetworkNamespace(scope: Scope, count: number): Promise<NetworkNamespace> {
  if (count > MAX_ADDRESSES) throw new Error(`A namespace has at most ${MAX_ADDRESSES} addresses, not ${count}`)
  const name = `darkroom-${process.pid}`
  const [outside, inside] = [`dr${process.pid}a`, `dr${process.pid}b`]
  const hostAddress = `${NETWORK}.0.1`
  const addresses = Array.from({ length: count }, (_, index) => `${NETWORK}.${(index + 2) >> 8}.${(index + 2) & 255}`)
  await ip('netns', 'add', name)
  scope.after(() => ip('netns', 'del', name))
  await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name)
  await ip('addr', 'add', `${hostAddress}/16`, 'dev', outside)
  await ip('link', 'set', outside, 'up')
  await ip('-n', name, 'link', 'set', inside, 'up')
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-namespace-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const batch = join(folder, 'addresses')
  await writeFile(batch, addresses.map((address) => `addr add ${address}/16 dev ${inside}\n`).join(''))
  await ip('-n', name, '-batch', batch)
  return { hostAddress, addresses, through: ['ip', 'netns', 'exec', name] }
}

async function ip(...args: readonly string[]): Promise<void> {
  try {
    await runQuietly('ip', args, process.env)
  } catch (cause) {
    throw new Error('A network namespace requires root and the command ip (apt-get install iproute2)', { cause })
  }
}
