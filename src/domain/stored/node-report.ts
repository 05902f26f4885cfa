import type { NodeEntry } from './node-entry.ts'

/** An entry, and when it was written by the clock of the store. */
export interface ListedNode {
  readonly entry: NodeEntry
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
}

/** The answer of `GET /nodes`. */
export interface NodeReport {
  readonly nodes: readonly ReportedNode[]
  /** For operators, in full sentences. */
  readonly warnings: readonly string[]
}

export interface ReportedNode extends Omit<NodeEntry, 'owner' | 'process'> {
  /** Since the last renewal, by the clock of the store. Seconds. */
  readonly ageSeconds: number
  /** How far the clock of the node is ahead of that of the store; negative if it is behind. Seconds. */
  readonly clockSeconds: number
}

/** Three renewals. */
const LATE_SECONDS = 10
/** A renewal between the listing and the read shifts the difference by three seconds, and some stores round to seconds. */
const CLOCK_SECONDS = 5

/**
 * All times are those of the store, so the clocks of the nodes do not matter: the newest entry was written at most three seconds ago,
 * as the node that reports renews its own.
 *
 * @param more Warnings of the node that reports.
 */
export function reportNodes(listed: readonly ListedNode[], more: readonly string[]): NodeReport {
  const newest = Math.max(...listed.map(({ modifiedAt }) => modifiedAt))
  const nodes = listed.map(({ entry: { owner: _owner, process: _process, ...entry }, modifiedAt }) => ({
    ...entry,
    ageSeconds: seconds(newest - modifiedAt),
    clockSeconds: seconds(Date.parse(entry.time) - modifiedAt),
  }))
  return { nodes, warnings: [...more, ...nodes.flatMap(warningsOf), ...versionWarnings(nodes)] }
}

function warningsOf({ name, ageSeconds, clockSeconds }: ReportedNode): readonly string[] {
  const warnings: string[] = []
  if (ageSeconds > LATE_SECONDS) {
    warnings.push(
      `${name} has not renewed its entry for ${ageSeconds} s: it was killed, is frozen, or does not reach the store`,
    )
  }
  if (Math.abs(clockSeconds) > CLOCK_SECONDS) {
    const difference = `${Math.abs(clockSeconds)} s ${clockSeconds > 0 ? 'ahead of' : 'behind'}`
    warnings.push(`The clock of ${name} is ${difference} that of the store: synchronize it (NTP)`)
  }
  return warnings
}

function versionWarnings(nodes: readonly ReportedNode[]): readonly string[] {
  const names = new Map<string, string[]>()
  for (const { version, name } of nodes) names.set(version, [...(names.get(version) ?? []), name])
  if (names.size < 2) return []
  const listed = [...names].map(([version, all]) => `${version} (${all.join(', ')})`)
  return [`The nodes have different versions: ${listed.join(', ')}`]
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 100) / 10
}
