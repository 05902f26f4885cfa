import type { Scope } from '../processes/scope.ts'
import { inScope } from '../processes/scope.ts'
import type { TrialFigure } from '../trials/trial-report.ts'
import { startCluster } from './cluster.ts'
import { type ChangeOptions, tryChanges } from './change-section.ts'
import { tryCold } from './cold-section.ts'
import { tryHot } from './hot-section.ts'
import { PRIMED_ENV, tryPrimed } from './primed-section.ts'

export const CLUSTER_SECTIONS = ['cold', 'primed', 'hot', 'changes'] as const
export type ClusterSection = (typeof CLUSTER_SECTIONS)[number]

export interface ClusterTrialOptions {
  readonly sections: readonly ClusterSection[]
  /** Of the load for one picture. */
  readonly hotSeconds: number
  readonly changes: Omit<ChangeOptions, 'say'>
  readonly say: (line: string) => void
}

/** Below this, the balance of a load is chance. */
const JUDGED_SECONDS = 30

/** Each section has a cluster of its own. */
export async function tryCluster(options: ClusterTrialOptions): Promise<readonly TrialFigure[]> {
  const { say } = options
  const runs: Readonly<Record<ClusterSection, (scope: Scope) => Promise<readonly TrialFigure[]>>> = {
    cold: async (scope) => tryCold(await startCluster(scope, { nodes: 3, say })),
    primed: async (scope) => tryPrimed(await startCluster(scope, { nodes: 3, env: PRIMED_ENV, say })),
    hot: async (scope) =>
      tryHot(await startCluster(scope, { nodes: 4, say }), {
        seconds: options.hotSeconds,
        isJudged: options.hotSeconds >= JUDGED_SECONDS,
      }),
    changes: async (scope) =>
      tryChanges(await startCluster(scope, { nodes: 4, running: 3, say }), { ...options.changes, say }),
  }
  const figures: TrialFigure[] = []
  for (const section of options.sections) {
    say(`${section}:`)
    figures.push(...(await inScope(runs[section])))
  }
  return figures
}
