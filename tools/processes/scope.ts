/** Something with an end, at which is undone what was set up for it: a test, a row of the table of faults, a program. */
export interface Scope {
  after(undo: () => unknown): void
}

/** For a program that uses what tests use. `close` undoes everything in the order in which it was set up, as tests do. */
export function createScope(): Scope & { close(): Promise<void> } {
  const undoes: (() => unknown)[] = []
  return {
    after: (undo) => void undoes.push(undo),
    async close() {
      for (const undo of undoes.splice(0)) await undo()
    },
  }
}

/** Runs `body`, then undoes everything, also after a failure. */
export async function inScope<T>(body: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = createScope()
  try {
    return await body(scope)
  } finally {
    await scope.close()
  }
}
