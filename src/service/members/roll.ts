import { type NodeEntry, parseNodeEntry } from '../../domain/stored/node-entry.ts'
import type { ListedNode } from '../../domain/stored/node-report.ts'
import { NODES_PREFIX, nodeKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readText } from '../tools/small-object.ts'

/** The registered nodes, as the store lists them. */
export interface Roll {
  /** Reads all entries now. @throws UnavailableError */
  read(signal: AbortSignal): Promise<readonly ListedNode[]>
  /** Notes which entries have been renewed, and removes those of nodes that are gone. @throws UnavailableError */
  look(signal: AbortSignal): Promise<void>
  /** Addresses of the other nodes that have renewed their entries, without duplicates. */
  readonly peers: readonly string[]
  /** Nodes that have renewed their entries, this one included. */
  readonly size: number
}

export interface RollOptions {
  readonly store: ObjectStore
  /** Of this node. */
  readonly name: string
  readonly address: string
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
}

/** An address rarely changes. */
const READ_AGAIN_MS = 15_000
/** A node with an older entry gets no hints. */
const PEER_MS = 30_000
/** Names of nodes can be random: entries of nodes that were killed must not pile up. */
const GONE_MS = 3_600_000

interface Known {
  readonly modifiedAt: number
  /** Since when this node has seen that time, by `now`. */
  readonly since: number
  readonly entry: NodeEntry | undefined
  readonly readAt: number
}

export function createRoll({ store, name: own, address, now }: RollOptions): Roll {
  let known: ReadonlyMap<string, Known> = new Map()

  async function readEntry(key: string, signal: AbortSignal): Promise<NodeEntry | undefined> {
    const text = await readText(store, key, signal)
    return text === undefined ? undefined : parseNodeEntry(text)
  }

  async function refresh(key: string, modifiedAt: number, signal: AbortSignal): Promise<Known> {
    const before = known.get(key)
    const isSame = before?.modifiedAt === modifiedAt
    const since = isSame ? before.since : now()
    const isKnown = before !== undefined && (isSame || now() - before.readAt < READ_AGAIN_MS)
    if (isKnown) return { ...before, modifiedAt, since }
    return { modifiedAt, since, entry: await readEntry(key, signal), readAt: now() }
  }

  const renewed = (): readonly Known[] => [...known.values()].filter(({ since }) => now() - since < PEER_MS)

  return {
    async read(signal) {
      const listed: ListedNode[] = []
      for await (const { key, modifiedAt } of store.listObjects(NODES_PREFIX, '', signal)) {
        const entry = await readEntry(key, signal)
        if (entry) listed.push({ entry, modifiedAt: modifiedAt.getTime() })
      }
      return listed
    },
    async look(signal) {
      const found = new Map<string, Known>()
      for await (const { key, modifiedAt } of store.listObjects(NODES_PREFIX, '', signal)) {
        const each = await refresh(key, modifiedAt.getTime(), signal)
        const isGone = now() - each.since >= GONE_MS && key !== nodeKey(own)
        if (isGone) await store.remove(key, signal)
        else found.set(key, each)
      }
      known = found
    },
    get peers() {
      const addresses = renewed().flatMap(({ entry }) => (entry?.name === own ? [] : (entry?.address ?? [])))
      return [...new Set(addresses)].filter((each) => each !== address)
    },
    get size() {
      return renewed().length
    },
  }
}
