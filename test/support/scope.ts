/** What closes things in the end: a test, or `createScope` where there is none. */
export interface Scope {
  after(close: () => unknown): void
}

/** For a program that uses what tests use. `close` closes the first first, as tests do. */
export function createScope(): Scope & { close(): Promise<void> } {
  const closing: (() => unknown)[] = []
  return {
    after: (close) => void closing.push(close),
    async close() {
      for (const close of closing.splice(0)) await close()
    },
  }
}
