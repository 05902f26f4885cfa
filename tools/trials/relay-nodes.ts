import type { Scope } from '../processes/scope.ts'
import { type Darkroom, startDarkroom } from '../servers/darkroom.ts'
import { stopAfter } from '../servers/site.ts'

/** Nodes that all deliver to the same sinks, and are replaced when they are killed. */
export interface RelayNodes {
  readonly all: readonly Darkroom[]
  /** Of the node that delivers now; undefined between two leases. */
  holder(): Promise<number | undefined>
  /** SIGKILL. Resolves when another node has replaced it. */
  kill(index: number): Promise<void>
}

export async function startRelayNodes(
  scope: Scope,
  count: number,
  env: Readonly<Record<string, string>>,
): Promise<RelayNodes> {
  const all = await Promise.all(Array.from({ length: count }, () => startDarkroom({ env })))
  stopAfter(scope, async () => void (await Promise.all(all.map((node) => node.stop()))))
  return {
    all,
    async holder() {
      const holds = await Promise.all(all.map((node) => node.metric('darkroom_relay_holder').catch(() => 0)))
      const index = holds.indexOf(1)
      return index === -1 ? undefined : index
    },
    async kill(index) {
      const killed = all[index]
      if (killed === undefined) return
      process.kill(killed.pid, 'SIGKILL')
      await killed.stop()
      all[index] = await startDarkroom({ env, port: killed.port })
    },
  }
}
