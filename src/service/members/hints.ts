import pLimit from 'p-limit'
import { createBackground } from '../tools/background.ts'
import { pause } from '../tools/coalesce.ts'

/** Tells other nodes to look for invalidations at once. A lost hint costs time only: every node polls. */
export interface Hints {
  /** Tells all peers, without waiting for them. */
  announce(): void
  /** A peer has told this node. */
  countReceived(): void
  readonly counters: { readonly sent: number; readonly failed: number; readonly received: number }
  stop(): Promise<void>
}

export interface HintsOptions {
  /** Addresses of the peers as of now. */
  readonly peers: () => readonly string[]
  /** Sends one hint, and throws if the peer does not accept it. It has a short timeout. */
  readonly send: (address: string, signal: AbortSignal) => Promise<void>
}

/** One hint serves all invalidations of this time. */
const SPACING_MS = 50
const AT_ONCE = 32

export function createHints({ peers, send }: HintsOptions): Hints {
  const counters = { sent: 0, failed: 0, received: 0 }
  const background = createBackground()
  const limit = pLimit(AT_ONCE)
  /** Peers to which a hint is under way, and whether another one is to follow. */
  const underWay = new Map<string, boolean>()

  async function sendOne(address: string): Promise<void> {
    try {
      await send(address, background.signal)
      counters.sent += 1
    } catch {
      // Of any kind: the peer polls. The counter is on the dashboard.
      counters.failed += 1
    }
  }

  async function tell(address: string): Promise<void> {
    try {
      while (underWay.get(address) && !background.signal.aborted) {
        underWay.set(address, false)
        await limit(async () => {
          if (!background.signal.aborted) await sendOne(address)
        })
        if (underWay.get(address)) await pause(SPACING_MS, background.signal).catch(() => undefined)
      }
    } finally {
      underWay.delete(address)
    }
  }

  return {
    announce() {
      for (const address of peers()) {
        const isBusy = underWay.has(address)
        underWay.set(address, true)
        if (!isBusy) background.track(tell(address))
      }
    },
    countReceived() {
      counters.received += 1
    },
    counters,
    stop: background.stop,
  }
}
