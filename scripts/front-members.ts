import { createMemberDns, type MemberDns } from '../src/adapters/member-dns/member-dns.ts'
import type { FrontMember } from '../src/domain/network/front-plan.ts'
import { type KnownMembers, keepMembers, memberName } from '../src/domain/network/known-members.ts'
import type { NodeEntry } from '../src/domain/stored/node-entry.ts'
import { livingNodes, type SeenEntries, seeEntries } from '../src/domain/stored/registry-members.ts'
import { NODES_PREFIX } from '../src/domain/stored/store-layout.ts'
import type { ObjectStore } from '../src/service/ports/store.ts'
import { readText } from '../src/service/tools/small-object.ts'
import type { DnsSource } from './front-options.ts'

export interface MemberAnswer {
  /** Without duplicate names. */
  readonly members: readonly FrontMember[]
  /** For the operator: nodes that cannot be members, and why. */
  readonly problems: readonly string[]
}

export interface MemberSource {
  /** For the operator, in a sentence: where the members are from. */
  readonly place: string
  /** Asks now. @throws Error if the source does not respond. */
  ask(signal: AbortSignal): Promise<MemberAnswer>
}

interface Keeping {
  readonly keepMs: number
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
}

const MOST_MEMBERS = 256

/** Members by DNS, named by address or SRV target, and port. */
export function createDnsSource({ name, port, servers }: DnsSource, { keepMs, now }: Keeping): MemberSource {
  const dns = createMemberDns(servers)
  let known: KnownMembers = new Map()

  async function named(signal: AbortSignal): Promise<readonly FrontMember[]> {
    if (port === undefined) {
      const hosts = await dns.services(name, signal)
      return hosts.map(({ host, ...place }) => ({ ...place, name: memberName(host, place.port), isDraining: false }))
    }
    const addresses = await dns.addresses(name, signal)
    return addresses.map((address) => ({ name: memberName(address, port), address, port, isDraining: false }))
  }

  return {
    place: `DNS name ${name}`,
    async ask(signal) {
      const members = await named(signal)
      // An empty answer says nothing about the time that others have.
      if (members.length > 0) known = keepMembers(known, members, { nowMs: now(), keepMs })
      return limited(members.length > 0 ? [...known.values()].map(({ member }) => member) : [], [])
    },
  }
}

/** The nodes that are registered in the store. */
export function createRegistrySource(store: ObjectStore, { keepMs, now }: Keeping): MemberSource {
  const dns = createMemberDns([])
  let seen: SeenEntries = new Map()
  let addresses: ReadonlyMap<string, string> = new Map()

  async function read(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const keys = await collect(store.list(NODES_PREFIX, '', signal))
    const texts = await Promise.all(
      keys.map(async (key): Promise<readonly (readonly [string, string])[]> => {
        const text = await readText(store, key, signal)
        return text === undefined ? [] : [[key, text]]
      }),
    )
    return new Map(texts.flat())
  }

  return {
    place: 'registry in the store',
    async ask(signal) {
      seen = seeEntries(seen, await read(signal), now())
      const problems = [...seen].flatMap(([key, { entry }]) => (entry ? [] : [`${key}: is not the entry of a node`]))
      const nodes = livingNodes(seen, now(), keepMs)
      const found = await Promise.all(nodes.map((node) => memberOf(node, { dns, addresses, problems, signal })))
      const members = found.flat()
      addresses = new Map(members.map(({ name, address }) => [name, address]))
      return limited(members, problems)
    },
  }
}

interface Lookup {
  readonly dns: MemberDns
  /** Of the last answer, by name: an address stays while its host cannot be resolved. */
  readonly addresses: ReadonlyMap<string, string>
  readonly problems: string[]
  readonly signal: AbortSignal
}

async function memberOf(node: NodeEntry, lookup: Lookup): Promise<readonly FrontMember[]> {
  const { name, address: place, state } = node
  const { dns, addresses, problems, signal } = lookup
  if (place === undefined) {
    problems.push(`${name}: is registered without an address: set NODE_ADDRESS there`)
    return []
  }
  const at = place.lastIndexOf(':')
  const host = place.slice(0, at)
  const address = await dns.hostAddress(host, signal).catch((error: unknown) => {
    signal.throwIfAborted()
    problems.push(`${name}: its host ${host} cannot be resolved: ${error instanceof Error ? error.message : 'unknown'}`)
    return addresses.get(name)
  })
  if (address === undefined) return []
  return [{ name, address, port: Number(place.slice(at + 1)), isDraining: state === 'draining' }]
}

function limited(members: readonly FrontMember[], problems: readonly string[]): MemberAnswer {
  if (members.length <= MOST_MEMBERS) return { members, problems }
  const text = `${members.length} nodes are named; a front uses the first ${MOST_MEMBERS} of them by name`
  const sorted = members.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  return { members: sorted.slice(0, MOST_MEMBERS), problems: [...problems, text] }
}

async function collect(keys: AsyncIterable<string>): Promise<readonly string[]> {
  const all: string[] = []
  for await (const key of keys) {
    all.push(key)
    if (all.length === 2 * MOST_MEMBERS) break
  }
  return all
}
