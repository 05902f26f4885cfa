import { serverId } from '../../src/domain/network/server-id.ts'
import type { Scope } from '../processes/scope.ts'
import { BACKENDS, type Haproxy } from '../servers/haproxy.ts'
import type { ClusterNode } from './cluster-node.ts'

/** Checks of packaging/haproxy/haproxy.cfg: a server that is added at run time has no defaults. */
const CHECKS = 'check inter 500ms fastinter 200ms fall 2 rise 2 weight 64'

/** The nodes that the fronts know. */
export interface Members {
  /** Resolves when all fronts use the node. */
  join(node: ClusterNode): Promise<void>
  /** Drains and stops a node. Resolves when it has ended. */
  retire(node: ClusterNode): Promise<void>
  /** Resolves when no front knows the retired node any more. */
  leave(node: ClusterNode): Promise<void>
}

export async function setMembers(_: Scope, fronts: readonly Haproxy[]): Promise<Members> {
  const known = new Set<string>()
  const onAll = async (command: (server: string) => string, { name }: ClusterNode): Promise<void> => {
    for (const front of fronts) for (const backend of BACKENDS) await front.command(command(`${backend}/${name}`))
  }
  return {
    async join(node) {
      if (!known.has(node.name)) {
        known.add(node.name)
        await onAll((server) => `add server ${server} ${node.address} id ${serverId(node.name)} ${CHECKS}`, node)
        await onAll((server) => `enable health ${server}`, node)
      }
      await onAll((server) => `set server ${server} state ready`, node)
      for (const front of fronts) await front.becomes('ready', node.name, 'UP')
    },
    async retire(node) {
      await onAll((server) => `set server ${server} state drain`, node)
      await node.stop()
    },
    async leave(node) {
      known.delete(node.name)
      await onAll((server) => `set server ${server} state maint`, node)
      await onAll((server) => `del server ${server}`, node)
    },
  }
}
