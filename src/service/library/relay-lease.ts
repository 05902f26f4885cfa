import { LEASE_PREFIX, leaseKey, parseLeaseKey } from '../../domain/stored/relay-state.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/**
 * One node at a time delivers events. A lease is a create-only object with a number; its holder renews it by creating the next
 * number. Each node measures by its own clock since when it has seen the newest number, so clocks need not agree.
 */
export interface RelayLease {
  /** Looks at the newest lease, and renews or takes it if that is due. To be called every second. */
  look(signal: AbortSignal): Promise<void>
  /** False in time before another node may take the lease, also after this process was frozen. */
  readonly isHeld: boolean
}

export interface RelayLeaseOptions {
  readonly store: ObjectStore
  /** No other process has it. */
  readonly node: string
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
}

const RENEW_MS = 3000
/** The holder stops delivering this long after it began its last renewal. */
const HELD_MS = 5000
/** Others take the lease this long after they saw the newest number. With a look each second: nine seconds at most. */
const EXPIRES_MS = 7000
/** Newest leases that are kept. */
const KEPT = 3

export function createRelayLease({ store, node, now }: RelayLeaseOptions): RelayLease {
  let newest = 0
  let holder = ''
  let seenAt = -Infinity
  let heldSince = -Infinity

  async function take(number: number, signal: AbortSignal): Promise<void> {
    const began = now()
    const object = { key: leaseKey(number), bytes: Buffer.from(node), contentType: 'text/plain' }
    // Another node was faster: the next look finds its number.
    if ((await putBytes(store, object, signal)) === 'exists') return
    newest = number
    holder = node
    seenAt = began
    heldSince = began
    if (number > KEPT) await store.remove(leaseKey(number - KEPT), signal)
  }

  async function refresh(signal: AbortSignal): Promise<void> {
    let last = 0
    for await (const key of store.list(LEASE_PREFIX, '', signal)) last = parseLeaseKey(key) ?? last
    if (last === newest) return
    const text = await readText(store, leaseKey(last), signal)
    newest = last
    holder = text ?? ''
    seenAt = now()
    if (holder !== node) heldSince = -Infinity
  }

  return {
    async look(signal) {
      await refresh(signal)
      const ageMs = now() - seenAt
      const isDue = holder === node ? ageMs >= RENEW_MS : newest === 0 || ageMs >= EXPIRES_MS
      if (isDue) await take(newest + 1, signal)
    },
    get isHeld() {
      return holder === node && now() - heldSince < HELD_MS
    },
  }
}
