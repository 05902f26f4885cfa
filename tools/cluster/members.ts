import type { Scope } from '../processes/scope.ts'
import { startFrontCommand } from '../servers/front-command.ts'
import { BACKENDS, type Haproxy } from '../servers/haproxy.ts'
import type { ClusterNode } from './cluster-node.ts'

/** The nodes that the fronts know, by `scripts/front` beside each of them, which reads the registry in the store. */
export interface Members {
  /** Resolves when all fronts use the node, which runs. */
  join(node: ClusterNode): Promise<void>
  /** Resolves when no front knows the node any more, which has stopped. */
  leave(node: ClusterNode): Promise<void>
}

/** @param env The settings of the store. */
export function setMembers(scope: Scope, fronts: readonly Haproxy[], env: Readonly<Record<string, string>>): Members {
  for (const { socket } of fronts) startFrontCommand(scope, { socket, env, args: ['--interval', '1'] })
  return {
    async join({ name }) {
      for (const front of fronts) for (const backend of BACKENDS) await front.becomes(backend, name, 'UP')
    },
    async leave({ name }) {
      for (const front of fronts) for (const backend of BACKENDS) await front.isGone(backend, name)
    },
  }
}
