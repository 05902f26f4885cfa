import { parseIpAddress } from '../../domain/network/ip-address.ts'
import { EVERYBODY } from '../../domain/stored/cache-layout.ts'
import type { UnavailableError } from '../../errors.ts'

/** Files that tell nginx by being there whom to refuse. */
export interface FlagFolder {
  raise(name: string): void
  lower(name: string): void
}

export interface Client {
  /** As nginx has it. */
  readonly address: string
  /** By `clientNetwork`: limits count this. */
  readonly network: string
}

/** Lets nginx refuse whoever is refused again and again, since that costs far less there. */
export interface OverloadFlags {
  refused(client: Client): void
  admitted(client: Client): void
}

export interface OverloadFlagsOptions {
  /** Why no picture can be made now for this client; without one: for a client that has nothing here yet. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  readonly diskFails: () => boolean
  readonly flags: FlagFolder
}

interface Tally {
  /** Absent: of everybody. */
  readonly network: string | undefined
  inARow: number
}

/**
 * So many refusals in a row, and the flag is raised: more come than a few for each that is let in. Fewer are better refused
 * here, since nginx does not know what is being made.
 */
const REFUSALS_IN_A_ROW = 5
/** How often the node looks whether a flag can be lowered, ms: what waits by then is work for ten times as long. */
const LOOK_MS = 10
/** Clients that are counted at once. Others are refused by the node. */
const MAX_TALLIES = 256

/**
 * Where a new client would be refused too, the flag is for everybody; else it is for the one client that has had its part, and
 * nobody else notices.
 */
export function createOverloadFlags({ refusal, diskFails, flags }: OverloadFlagsOptions): OverloadFlags {
  const tallies = new Map<string, Tally>()
  let timer: NodeJS.Timeout | undefined

  const isRaised = ({ inARow }: Tally): boolean => inARow >= REFUSALS_IN_A_ROW

  function tallyOf(name: string, network: string | undefined): Tally | undefined {
    const known = tallies.get(name)
    if (known) return known
    if (tallies.size >= MAX_TALLIES) {
      for (const [other, tally] of tallies) if (!isRaised(tally)) tallies.delete(other)
      if (tallies.size >= MAX_TALLIES) return undefined
    }
    const tally = { network, inARow: 0 }
    tallies.set(name, tally)
    return tally
  }

  function look(): void {
    for (const [name, tally] of tallies) {
      if (!isRaised(tally) || (refusal(tally.network) !== undefined && !diskFails())) continue
      tallies.delete(name)
      flags.lower(name)
    }
    if ([...tallies.values()].some(isRaised)) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    refused({ address, network }) {
      const isForAll = refusal() !== undefined
      // The name of a file.
      if (!isForAll && parseIpAddress(address) === undefined) return
      const name = isForAll ? EVERYBODY : address
      const tally = tallyOf(name, isForAll ? undefined : network)
      if (tally === undefined) return
      tally.inARow += 1
      if (tally.inARow !== REFUSALS_IN_A_ROW) return
      flags.raise(name)
      timer ??= setInterval(look, LOOK_MS).unref()
    },
    admitted({ address }) {
      for (const name of [EVERYBODY, address]) {
        const tally = tallies.get(name)
        if (tally && !isRaised(tally)) tallies.delete(name)
      }
    },
  }
}
