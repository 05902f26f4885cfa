import { createFairLine, createFairTurns, type FairLine } from '../../service/load/fair-shares.ts'

const GROUPS = ['known', 'others'] as const
type Group = (typeof GROUPS)[number]

export interface Entrant {
  readonly group: Group
  readonly client: string
}

interface Waiting {
  readonly client: string
  readonly task: () => void
}

/**
 * Starts one task in each turn of the event loop. The groups of clients take turns, and the clients of a group: neither one client with
 * many requests nor a thousand new clients delay the others for long.
 */
export type Turnstile = (entrant: Entrant, task: () => void) => void

export function createTurnstile(): Turnstile {
  const turns = createFairTurns<Group>()
  const lines: Readonly<Record<Group, FairLine<Waiting>>> = { known: createFairLine(), others: createFairLine() }
  let isTaken = false

  function nextTurn(): void {
    isTaken = false
    const group = turns.next(GROUPS.filter((each) => lines[each].size > 0))
    const next = group && lines[group].next()
    if (group === undefined || next === undefined) return
    turns.took(group, 1)
    lines[group].took(next.client, 1)
    lines[group].remove(next.client, next)
    begin(next.task)
  }

  function begin(task: () => void): void {
    isTaken = true
    setImmediate(nextTurn)
    task()
  }

  return ({ group, client }, task) => {
    if (isTaken) lines[group].add(client, { client, task })
    else begin(task)
  }
}
