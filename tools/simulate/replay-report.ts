import { linePlot } from '../pictures/line-plot.ts'
import { afterWarmUp, POLICIES, replay, shareOf } from './hit-ratio.ts'
import type { NodeReplay } from './node-replay.ts'

const PARTS = 50

/** Hits of a real node beside those of the simulation, for the same requests at the same times. */
export interface ReplayComparison {
  readonly node: NodeReplay
  /** By policy: 1 for each request that is a hit. The other policies have as many bytes as the node used on average. */
  readonly simulated: ReadonlyMap<string, Uint8Array>
}

export function compareReplay(node: NodeReplay): ReplayComparison {
  const { trace, capacityBytes } = node
  const peerBytes = Math.max(capacityBytes, meanUsed(node))
  const simulated = Object.entries(POLICIES).map(([name, create]) => {
    const policy = create(trace.bytes, create === POLICIES.Darkroom ? capacityBytes : peerBytes)
    return [name, replay(trace, policy).isHit] as const
  })
  return { node, simulated: new Map(simulated) }
}

/** Bytes in use in the second half, on average. */
function meanUsed({ usedBytes }: NodeReplay): number {
  const used = secondHalf(usedBytes)
  return used.reduce((sum, bytes) => sum + bytes, 0) / used.length
}

function secondHalf(samples: readonly number[]): readonly number[] {
  return samples.slice(Math.floor(samples.length / 2))
}

/** The difference of the hit ratios of the node and of the simulation. */
export function replayError({ node, simulated }: ReplayComparison): number {
  return afterWarmUp(node.isHit) - afterWarmUp(simulated.get('Darkroom') ?? new Uint8Array(1))
}

export function replayLines({ node, simulated }: ReplayComparison): readonly string[] {
  const { trace, capacityBytes, isHit, seconds, cpuSeconds, evictedFiles } = node
  const predicted = Array.from(simulated, ([name, flags]) => `| simulation: ${name} | ${ratio(afterWarmUp(flags))} |`)
  return [
    '| | hits per request |',
    '| --- | --- |',
    `| real node behind nginx | ${ratio(afterWarmUp(isHit))} |`,
    ...predicted,
    '',
    `${trace.objects.length.toLocaleString('en')} requests in ${Math.round(seconds)} s, ${Math.round((node.directHits / trace.objects.length) * 100)} % of them answered by nginx alone; ` +
      `${node.coalesced.toLocaleString('en')} joined a render under way, and count as hits; ` +
      `${Math.round(cpuSeconds)} s of CPU of nginx and the node. \`CACHE_MAX_BYTES\` ${megabytes(capacityBytes)} of ${megabytes(trace.totalBytes)}; in use in the second half ` +
      `${megabytes(meanUsed(node))} on average, which the other policies have too, and ${megabytes(Math.max(...secondHalf(node.usedBytes)))} at most; ${evictedFiles.toLocaleString('en')} files were evicted.`,
  ]
}

/** For the README. */
export function replaySummary({ node, simulated }: ReplayComparison): readonly string[] {
  const of = (name: string) => ratio(afterWarmUp(simulated.get(name) ?? new Uint8Array(1)))
  return [
    `- **On a real node** with ${node.trace.objects.length.toLocaleString('en')} requests: ${ratio(afterWarmUp(node.isHit))}; simulated ${of('Darkroom')}, S4LRU ${of('S4LRU')} (\`npm run simulate -- --node\`).`,
  ]
}

export function replayPlot({ node, simulated }: ReplayComparison): string {
  const requests = node.isHit.length
  const line = (flags: Uint8Array) =>
    Array.from({ length: PARTS }, (_, part) => {
      const from = Math.floor((part * requests) / PARTS)
      const to = Math.floor(((part + 1) * requests) / PARTS)
      return [to, shareOf(flags, from, to)] as const
    })
  const series = (name: string) => ({
    name: `simulated ${name}`,
    points: line(simulated.get(name) ?? new Uint8Array()),
  })
  return linePlot({
    title: 'Hits per request on a real node and in the simulation',
    xLabel: 'requests',
    yLabel: 'hits per request',
    series: [
      { name: 'node behind nginx', points: line(node.isHit) },
      { ...series('Darkroom'), dashed: true },
      series('S4LRU'),
      series('LRU'),
    ],
  })
}

function ratio(value: number): string {
  return value.toFixed(3)
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
