/** Work by key: that of one key in the order of its arrival, that of different keys at once. */
export interface Lines {
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /** Works in progress or waiting. */
  readonly pending: number
  /** Resolves when there are none. */
  idle(): Promise<void>
}

export function createLines(): Lines {
  const last = new Map<string, Promise<unknown>>()
  let pending = 0

  return {
    async run(key, work) {
      pending += 1
      const before = last.get(key)
      const result = before === undefined ? work() : before.then(work)
      const ended = result.then(ignore, ignore)
      last.set(key, ended)
      try {
        return await result
      } finally {
        pending -= 1
        if (last.get(key) === ended) last.delete(key)
      }
    },
    get pending() {
      return pending
    },
    async idle() {
      while (last.size > 0) await Promise.all(last.values())
    },
  }
}

function ignore(): void {}
