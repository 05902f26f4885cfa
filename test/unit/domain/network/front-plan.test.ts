import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FRONT_BACKENDS, type FrontMember, planFront } from '../../../../src/domain/network/front-plan.ts'
import type { HaproxyServer } from '../../../../src/domain/network/haproxy-servers.ts'
import { serverId } from '../../../../src/domain/network/server-id.ts'

const member = (name: string, more: Partial<FrontMember> = {}): FrontMember => ({
  name,
  address: '192.0.2.1',
  port: 80,
  isDraining: false,
  ...more,
})

const server = (name: string, more: Partial<HaproxyServer> = {}): HaproxyServer => ({
  backend: 'ready',
  name,
  id: serverId(name),
  address: '192.0.2.1',
  port: 80,
  isUp: true,
  isChecked: true,
  weight: 64,
  inMaintenance: false,
  isDrained: false,
  ...more,
})

const DRAIN_B = ['set weight ready/b 0', 'set server ready/b state drain']

const everywhere = (each: HaproxyServer): HaproxyServer[] => FRONT_BACKENDS.map((backend) => ({ ...each, backend }))

function plan(members: readonly FrontMember[], servers: readonly HaproxyServer[], mayRemove = true) {
  const { actions, problems, isPending } = planFront({ members, servers, mayRemove: () => mayRemove })
  const inReady = actions.filter(({ backend }) => backend === 'ready')
  return {
    steps: inReady.map(({ name, step }) => `${name} ${step}`),
    commands: inReady.flatMap(({ commands }) => commands),
    problems,
    isPending,
  }
}

test('A new member is added to every backend without requests, and used after its first check', () => {
  const servers = everywhere(server('b'))
  const { actions } = planFront({ members: [member('a'), member('b')], servers, mayRemove: () => true })
  assert.deepEqual(
    actions.map(({ backend, step }) => [backend, step]),
    FRONT_BACKENDS.map((backend) => [backend, 'added']),
  )
  assert.deepEqual(actions[0]?.commands, [
    `add server ready/a 192.0.2.1:80 id ${serverId('a')} check inter 500ms fastinter 200ms fall 2 rise 2 weight 64`,
    'enable health ready/a',
    'set weight ready/a 0',
    'set server ready/a state drain',
  ])
  const unchecked = plan([member('a')], everywhere(server('a', { weight: 0, isChecked: false })))
  assert.deepEqual([unchecked.steps, unchecked.isPending], [[], true])
  const checked = plan([member('a')], everywhere(server('a', { weight: 0 })))
  assert.deepEqual(checked.commands, ['set server ready/a state ready', 'set weight ready/a 64'])
})

test('In a backend without a server in use, as after a restart of HAProxy, members are used at once', () => {
  const use = (name: string) => [`set server ready/${name} state ready`, `set weight ready/${name} 64`]
  const { commands } = plan([member('a'), member('b'), member('c', { isDraining: true })], [])
  const others = commands.filter((command) => !/^(?:add|enable)/.test(command))
  assert.deepEqual(others, [...use('a'), ...use('b'), 'set weight ready/c 0', 'set server ready/c state drain'])
})

test('Servers that are in step need nothing', () => {
  const servers = [...everywhere(server('a')), ...everywhere(server('b', { address: '2001:db8::1' }))]
  const members = [member('a'), member('b', { address: '2001:0db8:0::1' })]
  assert.deepEqual(plan(members, servers), { steps: [], commands: [], problems: [], isPending: false })
})

test('A draining member gets no new requests, and stays a server; a vanished one is drained, then removed', () => {
  const both = [...everywhere(server('a')), ...everywhere(server('b'))]
  assert.deepEqual(plan([member('a'), member('b', { isDraining: true })], both).commands, DRAIN_B)
  const drained = [...everywhere(server('a')), ...everywhere(server('b', { weight: 0 }))]
  assert.deepEqual(plan([member('a'), member('b', { isDraining: true })], drained).commands, [])
  assert.deepEqual(plan([member('a')], both).commands, DRAIN_B)
  assert.deepEqual(plan([member('a')], drained).commands, ['set server ready/b state maint', 'del server ready/b'])
  assert.deepEqual(plan([member('a')], both, false).commands, [])
})

test('A member that returns while its server is removed is put into service again', () => {
  const leaving = server('b', { weight: 0, inMaintenance: true, isUp: false })
  const servers = [...everywhere(server('a')), ...everywhere(leaving)]
  const returned = plan([member('a'), member('b')], servers)
  assert.deepEqual(returned.commands, ['enable health ready/b', ...DRAIN_B])
  assert.equal(returned.isPending, true)
})

test('A member with another address moves, in IPv6 too', () => {
  const servers = everywhere(server('a'))
  assert.deepEqual(plan([member('a', { port: 8080 })], servers).commands, [
    'set server ready/a addr 192.0.2.1 port 8080',
  ])
  assert.deepEqual(plan([member('a', { address: '2001:db8::2' })], servers).commands, [
    'set server ready/a addr 2001:db8::2 port 80',
  ])
  assert.match(
    plan([member('b', { address: '2001:db8::2' })], servers).commands[0] ?? '',
    /ready\/b \[2001:db8::2\]:80 /,
  )
})

test('The last server that responds is never drained or removed', () => {
  const alone = plan([member('b')], everywhere(server('a')))
  assert.deepEqual(alone.steps, ['b added'])
  assert.match(
    alone.problems[0] ?? '',
    /^a: stays in use, because it is the last node that responds in the backend ready$/,
  )
  const down = [...everywhere(server('a')), ...everywhere(server('b', { isUp: false }))]
  assert.deepEqual(plan([member('b')], down).steps, [])
  assert.deepEqual(plan([member('a', { isDraining: true }), member('b')], down).steps, [])
  const bothDown = [...everywhere(server('a', { isUp: false })), ...everywhere(server('b', { isUp: false }))]
  assert.deepEqual(plan([member('b')], bothDown).steps, ['a drained'])
  const all = [...everywhere(server('a')), ...everywhere(server('b'))]
  const leaving = plan([member('a', { isDraining: true }), member('b', { isDraining: true })], all)
  assert.deepEqual(leaving.steps, ['a drained'])
  // What takes over in the same plan counts.
  const taking = [...everywhere(server('a')), ...everywhere(server('b', { weight: 0 }))]
  assert.deepEqual(plan([member('b')], taking).steps, ['b in use', 'a drained'])
})

test('Without members nothing is changed', () => {
  assert.deepEqual(plan([], everywhere(server('a'))), { steps: [], commands: [], problems: [], isPending: false })
})

test('Servers and states of the operator are left alone', () => {
  const own = everywhere(server('own', { id: 1 }))
  assert.deepEqual(plan([member('a')], [...own, ...everywhere(server('a'))]).steps, [])
  const sameName = plan([member('own'), member('a')], [...own, ...everywhere(server('a'))])
  assert.deepEqual(sameName.steps, [])
  assert.match(sameName.problems.join(), /^own: the configuration of HAProxy has a server of that name/)
  for (const state of [{ inMaintenance: true }, { isDrained: true }]) {
    assert.deepEqual(plan([member('a')], everywhere(server('a', state))).steps, [])
  }
})

test('Two members whose ids collide are told, and the first by name is used', () => {
  // Found by a search through names.
  const [one, other] = collidingNames()
  assert.equal(serverId(one), serverId(other))
  const { steps, problems } = plan([member(other), member(one)], [])
  assert.deepEqual(steps, [`${one} added`])
  assert.match(problems.join(), new RegExp(`^${other}: not added, because its id ${serverId(one)} is that of ${one}`))
  const taken = plan([member('a')], everywhere(server('own', { id: serverId('a') })))
  assert.deepEqual(taken.steps, [])
  assert.match(taken.problems[0] ?? '', /^a: not added, because its id \d+ is that of own/)
})

function collidingNames(): readonly [string, string] {
  const names = new Map<number, string>()
  for (let index = 0; index < 1_000_000; index += 1) {
    const name = `node${index}`
    const before = names.get(serverId(name))
    if (before !== undefined) return before < name ? [before, name] : [name, before]
    names.set(serverId(name), name)
  }
  throw new Error('No two names collide')
}

const NAMES = ['a', 'b', 'c', 'd'] as const
const anyMembers = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom(...NAMES),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    port: fc.constantFrom(80, 81),
    isDraining: fc.boolean(),
  }),
  { minLength: 1, selector: ({ name }) => name },
)

test('Whatever HAProxy has, some plans later it has the members, and no plan takes the last server', () => {
  const anyServers = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...NAMES, 'e'),
      isUp: fc.boolean(),
      isChecked: fc.boolean(),
      weight: fc.constantFrom(0, 64),
    }),
    { selector: ({ name }) => name },
  )
  fc.assert(
    fc.property(anyMembers, anyServers, (members, some) => {
      let servers = some.flatMap(({ name, ...state }) =>
        everywhere(server(name, { ...state, isDrained: state.weight === 0 })),
      )
      for (let round = 0; round < 8; round += 1) {
        const { actions } = planFront({ members, servers, mayRemove: () => true })
        const next = actions.flatMap(({ commands }) => commands).reduce(applied, servers)
        for (const backend of FRONT_BACKENDS) assert.ok(health(next, backend) >= health(servers, backend))
        // Every node responds in the end.
        servers = next.map((each) => ({ ...each, isChecked: true, isUp: !each.inMaintenance }))
      }
      const live = members.filter(({ isDraining }) => !isDraining)
      for (const backend of FRONT_BACKENDS) {
        const inUse = servers.filter((each) => each.backend === backend && getsRequests(each))
        const wanted = live.map(({ name, address, port }) => `${name} ${address} ${port}`)
        const has = inUse.map(({ name, address, port }) => `${name} ${address} ${port}`)
        if (live.length > 0) assert.deepEqual(has.toSorted(), wanted.toSorted())
      }
    }),
  )
})

const getsRequests = ({ weight, inMaintenance, isDrained }: HaproxyServer) => weight > 0 && !inMaintenance && !isDrained

/** 2: a server that responds gets requests; 1: one that does not; 0: none. */
function health(servers: readonly HaproxyServer[], backend: string): number {
  const inUse = servers.filter((each) => each.backend === backend && getsRequests(each))
  return inUse.some(({ isUp }) => isUp) ? 2 : Math.min(1, inUse.length)
}

/** The servers after a command, as HAProxy executes it. */
function applied(servers: readonly HaproxyServer[], command: string): HaproxyServer[] {
  const words = command.split(' ')
  const [backend, name = ''] = words.find((word) => word.includes('/'))?.split('/') ?? []
  const change = (state: Partial<HaproxyServer>) =>
    servers.map((each) => (each.backend === backend && each.name === name ? { ...each, ...state } : each))
  if (command.startsWith('set weight')) return change({ weight: Number(words[3]) })
  if (command.endsWith('state drain')) return change({ inMaintenance: false, isDrained: true })
  if (command.endsWith('state ready')) return change({ inMaintenance: false, isDrained: false })
  if (command.endsWith('state maint')) return change({ inMaintenance: true, isUp: false })
  if (words[3] === 'addr') return change({ address: String(words[4]), port: Number(words[6]) })
  if (command.startsWith('del server')) return servers.filter((each) => each.backend !== backend || each.name !== name)
  if (!command.startsWith('add server')) return [...servers]
  const { address = '', port } = /^\[?(?<address>.*?)\]?:(?<port>\d+)$/.exec(words[3] ?? '')?.groups ?? {}
  const state = { address, port: Number(port), isUp: true, isChecked: false, inMaintenance: true }
  return [...servers, server(name, { ...state, backend: String(backend) })]
}
