import type { HaproxySocket } from '../src/adapters/haproxy/haproxy-socket.ts'
import { type FrontAction, type FrontMember, planFront } from '../src/domain/network/front-plan.ts'
import type { HaproxyServer } from '../src/domain/network/haproxy-servers.ts'
import type { MemberSource } from './front-members.ts'
import type { FrontState } from './front-metrics.ts'
import type { Complain } from './run-command.ts'

/** A front that brings HAProxy's servers in step with the members, pass by pass. Both methods report their failures. */
export interface FrontPasses {
  /** Asks the source for the members. */
  query(signal: AbortSignal): Promise<void>
  /** @returns whether the next pass should follow soon. */
  pass(signal: AbortSignal): Promise<boolean>
  /** The last query and the last pass left nothing to do. */
  isInStep(): boolean
  state(): FrontState
}

export interface FrontPassesOptions {
  readonly source: MemberSource
  readonly haproxy: HaproxySocket
  /** How long after the first answer no server is removed whose node has not been named yet. */
  readonly keepMs: number
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
  readonly complain: Complain
}

export function createFrontPasses({ source, haproxy, keepMs, now, complain }: FrontPassesOptions): FrontPasses {
  const sourceReport = createReport(complain)
  const haproxyReport = createReport(complain)
  let members: readonly FrontMember[] = []
  let answeredSince: number | undefined
  /** In that time. */
  const named = new Set<string>()
  let servers: readonly HaproxyServer[] = []
  const changes = { added: 0, 'in use': 0, moved: 0, drained: 0, removed: 0 }
  const has = { source: false, haproxy: false, nothingToDo: false }

  const sourceProblem = (reason: string): string[] => {
    const kept = members.length === 0 ? 'the servers of HAProxy stay as they are' : 'the last known nodes stay'
    return [`${source.place}: ${reason}; ${kept}`]
  }

  async function apply(actions: readonly FrontAction[], signal: AbortSignal): Promise<readonly string[]> {
    const refused: string[] = []
    const done: FrontAction[] = []
    for (const action of actions) {
      try {
        if ((await haproxy.apply(action, signal)) === 'busy') continue
        done.push(action)
        changes[action.step] += 1
      } catch (error) {
        signal.throwIfAborted()
        refused.push(messageOf(error))
      }
    }
    for (const line of linesOf(done)) complain(line)
    return refused
  }

  const knowsAll = (): boolean => answeredSince !== undefined && now() - answeredSince >= keepMs

  function take(answer: readonly FrontMember[]): void {
    members = answer
    answeredSince ??= now()
    if (!knowsAll()) for (const { name } of answer) named.add(name)
  }

  async function look(signal: AbortSignal): Promise<boolean> {
    servers = await haproxy.servers(signal)
    const mayRemove = (name: string): boolean => named.has(name) || knowsAll()
    const { actions, problems, isPending } = planFront({ members, servers, mayRemove })
    const refused = await apply(actions, signal)
    haproxyReport.tell([...problems, ...refused])
    has.haproxy = refused.length === 0
    has.nothingToDo = actions.length === 0 && problems.length === 0
    return (isPending || actions.length > 0) && refused.length === 0
  }

  return {
    async query(signal) {
      try {
        const answer = await source.ask(signal)
        has.source = answer.members.length > 0
        if (has.source) take(answer.members)
        sourceReport.tell([...answer.problems, ...(has.source ? [] : sourceProblem('names no node'))])
      } catch (error) {
        has.source = false
        if (!signal.aborted) sourceReport.tell(sourceProblem(messageOf(error)))
      }
    },
    async pass(signal) {
      try {
        return await look(signal)
      } catch (error) {
        has.haproxy = false
        if (!signal.aborted) haproxyReport.tell([messageOf(error)])
        return false
      }
    },
    isInStep: () => has.source && has.haproxy && has.nothingToDo,
    state: () => ({
      members: members.length,
      servers: countByBackend(servers),
      problems: sourceReport.count() + haproxyReport.count(),
      sourceAvailable: has.source,
      haproxyAvailable: has.haproxy,
      changes,
    }),
  }
}

/** Tells each problem when it begins, and once more that all of them have ended. */
function createReport(complain: Complain) {
  let told: ReadonlySet<string> = new Set()
  return {
    tell(problems: readonly string[]): void {
      for (const problem of problems) if (!told.has(problem)) complain(problem)
      for (const problem of told) if (!problems.includes(problem)) complain(`ended: ${problem}`)
      told = new Set(problems)
    },
    count: () => told.size,
  }
}

/** A line for each server, with its backends. */
function linesOf(actions: readonly FrontAction[]): readonly string[] {
  const lines = new Map<string, FrontAction[]>()
  for (const action of actions) {
    const key = `${action.name} (${action.address}) ${action.step}`
    lines.set(key, [...(lines.get(key) ?? []), action])
  }
  return [...lines].map(([key, same]) => `${key}: ${same.map(({ backend }) => backend).join(', ')}`)
}

function countByBackend(servers: readonly HaproxyServer[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { backend } of servers) counts[backend] = (counts[backend] ?? 0) + 1
  return counts
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
