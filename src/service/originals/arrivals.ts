import type { OpenObject } from '../ports/store.ts'

/** Objects that a resolution has opened, until the fetch that follows it takes them. */
export interface Arrivals {
  /** Whether another one may be opened. */
  hasRoom(): boolean
  /** Takes ownership. */
  add(id: string, object: OpenObject): void
  /** @returns the object of this version, which the caller consumes or destroys. */
  take(id: string): OpenObject | undefined
  /** Destroys all. */
  clear(): void
}

export interface ArrivalsOptions {
  /** Each unread body holds a connection. */
  readonly max: number
  /** A body that nothing takes in this time is destroyed. */
  readonly keptMs: number
}

export function createArrivals({ max, keptMs }: ArrivalsOptions): Arrivals {
  const waiting = new Map<string, { readonly object: OpenObject; readonly timer: NodeJS.Timeout }>()

  function take(id: string): OpenObject | undefined {
    const found = waiting.get(id)
    clearTimeout(found?.timer)
    waiting.delete(id)
    // It may have failed while it waited.
    return found?.object.body.destroyed ? undefined : found?.object
  }

  const drop = (id: string): void => void take(id)?.body.destroy()

  return {
    hasRoom: () => waiting.size < max,
    add(id, object) {
      drop(id)
      const timer = setTimeout(drop, keptMs, id).unref()
      waiting.set(id, { object, timer })
    },
    take,
    clear() {
      for (const id of waiting.keys()) drop(id)
    },
  }
}
