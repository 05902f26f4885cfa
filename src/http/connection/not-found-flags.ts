import { parseIpAddress } from '../../domain/network/ip-address.ts'
import type { FlagFolder } from './shed.ts'

/** Lets nginx reject clients whose budget for images that do not exist is spent, as that costs far less there. */
export interface NotFoundFlags {
  /** A request of this client was rejected. @param address As seen by nginx. @param network By `clientNetwork`. */
  rejected(address: string, network: string): void
}

export interface NotFoundFlagsOptions {
  /** Whether the budget of this client is spent. */
  readonly isSpent: (network: string) => boolean
  readonly flags: FlagFolder
}

/** Rejections within a second or two that raise the flag. If many addresses are rejected, the first one does. */
const REJECTIONS = 5
const MANY = 50
/** A flag stands for at least as many looks, so that a client above its limit reaches the node only every few seconds. */
const LOOKS = 10
const LOOK_MS = 1000
/** Flags that end at one look, so that a thousand clients do not come back to the node at once. */
const ENDS_AT_ONCE = 20
/** Each is a file. The node rejects other clients itself. */
const MAX_CLIENTS = 4096

interface Tally {
  readonly network: string
  rejections: number
  isRaised: boolean
  looks: number
}

export function createNotFoundFlags({ isSpent, flags }: NotFoundFlagsOptions): NotFoundFlags {
  const tallies = new Map<string, Tally>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    let ended = 0
    for (const [address, tally] of tallies) {
      tally.looks += 1
      const { isRaised } = tally
      if (!isRaised && tally.looks > 1) tallies.delete(address)
      if (!isRaised || tally.looks <= LOOKS || ended === ENDS_AT_ONCE || isSpent(tally.network)) continue
      tallies.delete(address)
      flags.lower(address)
      ended += 1
    }
    if (tallies.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    rejected(address, network) {
      const tally = tallies.get(address) ?? { network, rejections: 0, isRaised: false, looks: 0 }
      // The address becomes a file name.
      if (!tallies.has(address) && (tallies.size >= MAX_CLIENTS || parseIpAddress(address) === undefined)) return
      tallies.set(address, tally)
      tally.rejections += 1
      timer ??= setInterval(look, LOOK_MS).unref()
      if (tally.isRaised || (tally.rejections < REJECTIONS && tallies.size <= MANY)) return
      tally.isRaised = true
      tally.looks = 0
      flags.raise(address)
    },
  }
}
