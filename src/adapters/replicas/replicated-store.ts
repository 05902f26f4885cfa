import { finished } from 'node:stream/promises'
import { type ReplicaRead, replicaRead } from '../../domain/stored/replica-reads.ts'
import { UnavailableError } from '../../errors.ts'
import type { StoreReads } from '../../service/ports/replicas.ts'
import type { ObjectStat, ObjectStore, OpenObject } from '../../service/ports/store.ts'
import { startDeadline } from '../calls/timed-body.ts'
import { createReadRaces, type Read, type ReadEndpoint, SILENT_MS, silence } from './read-races.ts'
import { createReplicaOriginals, type OriginalRead } from './replica-originals.ts'

export interface ReplicatedStoreSettings {
  readonly primary: ObjectStore
  /** All that are read from, nearest first, among them the primary. */
  readonly endpoints: readonly { readonly label: string; readonly store: ObjectStore }[]
}

const PROBE_KEY = 'originals/replica-probe'

/** The endpoints of a read of each kind, in their order. */
function createReadOrders(endpoints: readonly ReadEndpoint[], isPrimary: (endpoint: ReadEndpoint) => boolean) {
  const primaryFirst = endpoints.toSorted((one, other) => Number(isPrimary(other)) - Number(isPrimary(one)))
  return {
    alias: () => primaryFirst,
    // An absence is harmless: no read waits for an endpoint that does not respond to learn of one.
    derived() {
      const inUse = endpoints.filter(({ isAside }) => !isAside)
      return inUse.length > 0 ? inUse : endpoints
    },
    original: () => endpoints,
  } as const
}

/**
 * Reads originals, mezzanines and aliases from the nearest endpoint that responds, and repeats slow reads. Everything else is
 * done by the primary, which also decides which originals exist: a replica's original is used if the primary has it, or cannot
 * be asked. A replica that has no such object decides nothing.
 */
export function createReplicatedStore({
  primary,
  endpoints: given,
}: ReplicatedStoreSettings): ObjectStore & StoreReads {
  const races = createReadRaces(given)
  const { endpoints } = races
  const isPrimary = ({ store }: ReadEndpoint): boolean => store === primary
  const orders = createReadOrders(endpoints, isPrimary)
  const originals = createReplicaOriginals(endpoints.find(isPrimary))

  async function openByRace(key: string, read: ReplicaRead, signal: AbortSignal): Promise<OpenObject | undefined> {
    let isAbsentSomewhere = false
    const race: Read<OpenObject> = {
      key,
      method: 'GET',
      endpoints: orders[read.kind](),
      hedgesToNext: read.kind !== 'alias',
      async ask(endpoint, within) {
        const { store } = endpoint
        if (isPrimary(endpoint)) return { found: await store.open(key, within) }
        if (read.kind === 'original') return await originals.open(store, { key, ...read }, within)
        const found = await store.open(key, within)
        isAbsentSomewhere ||= found === undefined
        return found && { found }
      },
      discard: ({ body }) => void body.destroy(),
    }
    try {
      const { found, endpoint, end } = await races.run(race, signal)
      if (!found) {
        end()
        return undefined
      }
      found.body.once('close', end)
      return { ...found, takeRetry: () => races.takeRetry(key, endpoint, found) }
    } catch (error) {
      signal.throwIfAborted()
      // It can be made again.
      if (read.kind === 'derived' && isAbsentSomewhere && error instanceof UnavailableError) return undefined
      throw error
    }
  }

  async function statByRace(key: string, read: OriginalRead, signal: AbortSignal): Promise<ObjectStat | undefined> {
    const { found, end } = await races.run<ObjectStat>(
      {
        key,
        method: 'HEAD',
        endpoints: orders.alias(),
        hedgesToNext: false,
        async ask(endpoint, within) {
          const stat = await endpoint.store.stat(key, within)
          if (isPrimary(endpoint)) return { found: stat }
          if (stat) await originals.assertNotDeleted(endpoint.store, read, within)
          return stat && { found: stat }
        },
        discard() {},
      },
      signal,
    )
    end()
    return found
  }

  return {
    ...primary,

    open(key, signal) {
      const read = replicaRead(key)
      return read ? openByRace(key, read, signal) : primary.open(key, signal)
    },

    stat(key, signal) {
      const read = replicaRead(key)
      return read?.kind === 'original' ? statByRace(key, read, signal) : primary.stat(key, signal)
    },

    close() {
      for (const { store } of endpoints) store.close()
    },

    endpoints,
    hedges: races.hedges,

    probe: (signal) => probe(endpoints, signal),
    forget: originals.forget,
  }
}

async function probe(endpoints: readonly ReadEndpoint[], signal: AbortSignal): Promise<void> {
  const probeOne = async ({ store, suspension }: ReadEndpoint): Promise<void> => {
    const limit = startDeadline(signal, SILENT_MS, silence)
    try {
      const object = await store.open(suspension.key ?? PROBE_KEY, limit.signal)
      // A store with a frozen disk may know an object that it cannot read.
      if (object) await finished(object.body.resume())
      suspension.resume()
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
    } finally {
      limit.stop()
    }
  }
  await Promise.all(endpoints.filter(({ isAside }) => isAside).map(probeOne))
}
