import type { Hints } from '../service/members/hints.ts'
import type { Roll } from '../service/members/roll.ts'
import type { SampledMetric } from '../telemetry/metrics.ts'

export interface MeasuredPeers {
  readonly peers: {
    /** Of this node. */
    readonly name: string
    readonly hints: Pick<Hints, 'counters'>
    readonly roll: Pick<Roll, 'size'>
  }
}

/** Metrics of a node as one of several. */
export function peerMetrics({ peers: { name, hints, roll } }: MeasuredPeers): readonly SampledMetric[] {
  return [
    {
      type: 'gauge',
      name: 'darkroom_node_info',
      help: 'Always 1; the label is the name of this node (NODE_NAME), by which fronts and the dashboard know it',
      labels: ['name'],
      read: () => [{ labels: { name }, value: 1 }],
    },
    {
      type: 'gauge',
      name: 'darkroom_nodes',
      help: 'Registered nodes that have renewed their entries in the store within 30 s, as this node sees them; 0 if it is not registered itself',
      read: () => roll.size,
    },
    {
      type: 'counter',
      name: 'darkroom_peer_hints_total',
      help: 'Hints between nodes to look for deletions at once: sent by this node, not accepted by a peer (failed), received by this node',
      labels: ['outcome'],
      read: () => Object.entries(hints.counters).map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
  ]
}
