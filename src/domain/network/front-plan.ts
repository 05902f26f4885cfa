import { type HaproxyServer, isFrontServer } from './haproxy-servers.ts'
import { formatIpAddress, parseIpAddress } from './ip-address.ts'
import { serverId } from './server-id.ts'

/** A node that a front should send requests to. */
export interface FrontMember {
  /** Of the node: letters, digits, dots, hyphens and underscores. */
  readonly name: string
  /** IPv4 or IPv6, without brackets. */
  readonly address: string
  readonly port: number
  /** It finishes its requests, and gets no new ones. */
  readonly isDraining: boolean
}

type FrontStep = 'added' | 'in use' | 'moved' | 'drained' | 'removed'

/** A change of one server in one backend. */
export interface FrontAction {
  readonly step: FrontStep
  readonly backend: string
  readonly name: string
  /** For the operator: its address. */
  readonly address: string
  /** Of the runtime socket, to be sent in one line. */
  readonly commands: readonly string[]
}

export interface FrontPlan {
  readonly actions: readonly FrontAction[]
  /** For the operator: members that cannot be servers, and servers that have to stay. */
  readonly problems: readonly string[]
  /** Servers wait for their first check, or for the end of their requests: look again soon. */
  readonly isPending: boolean
}

/** The backends of packaging/haproxy/haproxy.cfg: every node is a server in each. */
export const FRONT_BACKENDS = ['ready', 'hot', 'living'] as const

const WEIGHT = 64
/** Of every server: HAProxy does not apply `default-server` to those that are added at run time. */
export const SERVER_OPTIONS = `check inter 500ms fastinter 200ms fall 2 rise 2 weight ${WEIGHT}`

export interface FrontPlanInput {
  /** Without duplicate names. Empty: nothing is known of the members, and nothing is changed. */
  readonly members: readonly FrontMember[]
  readonly servers: readonly HaproxyServer[]
  /** False: the source may not have named that member yet, so its server stays. */
  readonly mayRemove: (name: string) => boolean
}

/**
 * The next steps from the servers that HAProxy has to those that it should have. A weight of 0 marks servers that this front drains,
 * so that it can tell them from those that an operator has drained or put into maintenance, which it leaves alone.
 *
 * - A new server is drained until its first check has ended, so that a node that does not respond gets no request. In a backend
 *   without a server in use, as after a restart of HAProxy, it is used at once.
 * - A server without a member is drained, and removed by the next plan.
 * - No server leaves a backend without another one there that is at least as healthy.
 */
export function planFront({ members, servers, mayRemove }: FrontPlanInput): FrontPlan {
  if (members.length === 0) return { actions: [], problems: [], isPending: false }
  const plans = FRONT_BACKENDS.map((backend) => {
    const present = servers.filter((server) => server.backend === backend)
    return planBackend(backend, { members, servers: present, mayRemove })
  })
  return {
    actions: plans.flatMap(({ actions }) => actions),
    problems: [...new Set(plans.flatMap(({ problems }) => problems))],
    isPending: plans.some(({ isPending }) => isPending),
  }
}

interface Draft {
  readonly backend: string
  readonly actions: FrontAction[]
  readonly problems: string[]
  /** Servers that get requests after this plan. */
  readonly inUse: Set<HaproxyServer>
  /** No server got requests before it. */
  readonly isIdle: boolean
  isPending: boolean
}

function planBackend(backend: string, { members, servers, mayRemove }: FrontPlanInput): Draft {
  const inUse = new Set(servers.filter(getsRequests))
  const draft: Draft = { backend, actions: [], problems: [], inUse, isIdle: inUse.size === 0, isPending: false }
  const byName = new Map(servers.map((server) => [server.name, server]))
  const ids = new Map(servers.map((server) => [server.id, server.name]))
  const sorted = members.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  for (const member of sorted) {
    const server = byName.get(member.name)
    if (server === undefined) addMember(draft, member, ids)
    else if (!isFrontServer(server)) draft.problems.push(takenName(member.name))
    else correctServer(draft, member, server)
  }
  // Nodes that take over come first.
  for (const member of sorted) {
    const server = byName.get(member.name)
    if (server && isFrontServer(server) && member.isDraining && server.weight > 0) drainServer(draft, server)
  }
  const names = new Set(members.map(({ name }) => name))
  for (const server of servers) {
    if (!names.has(server.name) && isFrontServer(server) && mayRemove(server.name)) removeServer(draft, server)
  }
  return draft
}

function getsRequests({ weight, inMaintenance, isDrained }: HaproxyServer): boolean {
  return weight > 0 && !inMaintenance && !isDrained
}

function takenName(name: string): string {
  return `${name}: the configuration of HAProxy has a server of that name with an id of its own, which is left alone`
}

function addMember(draft: Draft, member: FrontMember, ids: Map<number, string>): void {
  const { name, address, port } = member
  const id = serverId(name)
  const other = ids.get(id)
  if (other !== undefined) {
    draft.problems.push(
      `${name}: not added, because its id ${id} is that of ${other}: give one of the two another NODE_NAME`,
    )
    return
  }
  ids.set(id, name)
  const server = `${draft.backend}/${name} ${formatHost(address)}:${port} id ${id}`
  act(draft, 'added', member, [`add server ${server} ${SERVER_OPTIONS}`, ...enable(draft, member)])
  draft.isPending = true
}

function enable({ backend, isIdle }: Draft, { name, isDraining }: FrontMember): readonly string[] {
  const path = `${backend}/${name}`
  return [`enable health ${path}`, ...(isIdle && !isDraining ? use(path) : drain(path))]
}

function use(path: string): readonly string[] {
  return [`set server ${path} state ready`, `set weight ${path} ${WEIGHT}`]
}

function drain(path: string): readonly string[] {
  return [`set weight ${path} 0`, `set server ${path} state drain`]
}

function correctServer(draft: Draft, member: FrontMember, server: HaproxyServer): void {
  const path = `${draft.backend}/${server.name}`
  if (!isSameAddress(member, server)) {
    act(draft, 'moved', member, [`set server ${path} addr ${member.address} port ${member.port}`])
  }
  if (server.weight > 0 || member.isDraining) return
  if (server.inMaintenance) {
    // Its removal had begun, or its addition was interrupted.
    act(draft, 'added', member, enable(draft, member))
    draft.isPending = true
  } else if (server.isChecked) {
    act(draft, 'in use', member, use(path))
    draft.inUse.add({ ...server, weight: WEIGHT, isDrained: false })
  } else draft.isPending = true
}

function drainServer(draft: Draft, server: HaproxyServer): void {
  const { backend, inUse } = draft
  const others = [...inUse].filter(({ name }) => name !== server.name)
  if (getsRequests(server) && !others.some(({ isUp }) => isUp || !server.isUp)) {
    const what = server.isUp ? 'node that responds' : 'server'
    draft.problems.push(`${server.name}: stays in use, because it is the last ${what} in the backend ${backend}`)
    return
  }
  inUse.delete(server)
  act(draft, 'drained', memberLike(server), drain(`${backend}/${server.name}`))
}

function removeServer(draft: Draft, server: HaproxyServer): void {
  if (server.weight > 0) {
    const before = draft.actions.length
    drainServer(draft, server)
    draft.isPending ||= draft.actions.length > before
    return
  }
  const path = `${draft.backend}/${server.name}`
  act(draft, 'removed', memberLike(server), [`set server ${path} state maint`, `del server ${path}`])
}

function act(draft: Draft, step: FrontStep, { name, address, port }: Named, commands: readonly string[]): void {
  draft.actions.push({ step, backend: draft.backend, name, address: `${formatHost(address)}:${port}`, commands })
}

type Named = Pick<FrontMember, 'name' | 'address' | 'port'>

function memberLike({ name, address = '?', port }: HaproxyServer): Named {
  return { name, address, port }
}

function isSameAddress({ address, port }: FrontMember, server: HaproxyServer): boolean {
  return port === server.port && canonical(address) === canonical(server.address ?? '')
}

function canonical(text: string): string {
  const address = parseIpAddress(text)
  return address ? formatIpAddress(address) : text
}

function formatHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
