import type { BenchReport, Figure } from './measure.ts'
import type { Storm } from './storm-plan.ts'

const MB = 1e6

/** One measurement. Times in milliseconds. */
export interface Measured {
  readonly hitsP99: number
  readonly firstViewsP50: number
  readonly firstViewsP99: number
  /** Of the viewers: neither a picture nor in time. */
  readonly failed: number
  readonly crawledPerSecond: number
  readonly crawlerRefused: number
  readonly storm: Storm | undefined
  /** Requests to the store for ids of the storm. */
  readonly storeRequests: number
  readonly uploads: number
  /** Uploads to the other node that this one did not answer 200 at the first request. */
  readonly uploadsMissed: number
  readonly residentBytes: number
  readonly cpu: { readonly servers: number; readonly generators: number }
}

type Loads = Readonly<Record<'alone' | 'crawler' | 'floor' | 'fromOne' | 'fromMany', Measured>>

/** The figures of all measurements. */
export function reportStorm({ addresses }: { readonly addresses: number }, loads: Loads): BenchReport {
  const { alone, crawler, floor, fromOne, fromMany } = loads
  const figures = [
    ...viewersOf('viewers alone', alone),
    ...viewersOf('beside a crawler', crawler),
    { name: '  pictures of the crawler', value: crawler.crawledPerSecond, unit: '/s' },
    ...viewersOf('the same, and 10,000/s to an nginx that answers 404', floor),
    ...stormOf('10,000 unknown ids/s from 127.0.0.2', fromOne, loads, 1),
    ...stormOf(`the same from ${addresses} addresses`, fromMany, loads, addresses),
    {
      name: 'RSS of the node, growth during both',
      value: (fromMany.residentBytes - crawler.residentBytes) / MB,
      unit: 'MB',
      wanted: '< 50',
    },
  ]
  const all = Object.values(loads)
  const uploads = all.reduce((sum, each) => sum + each.uploads, 0)
  const missed = all.reduce((sum, each) => sum + each.uploadsMissed, 0)
  const failed = all.reduce((sum, each) => sum + each.failed, 0)
  const shareOf = ({ cpu }: Measured) => Math.round((100 * cpu.generators) / (cpu.generators + cpu.servers))
  return {
    figures,
    notes: [
      `${missed} of ${uploads} uploads to another node were not 200 at the first request. ${failed} requests of viewers failed.`,
      `Answers to the storms: ${[fromOne, fromMany].map(({ storm }) => answersOf(storm)).join('; ')}.`,
      `The load generators used ${shareOf(fromOne)} % and ${shareOf(fromMany)} % of the CPU time of servers and generators: they share the cores; those of the storm have a lower priority.`,
    ],
    raw: loads,
  }
}

function viewersOf(name: string, { hitsP99, firstViewsP50, firstViewsP99 }: Measured): Figure[] {
  return [
    { name: `${name}: p99 of hits`, value: hitsP99, unit: 'ms' },
    { name: '  first views: median', value: firstViewsP50, unit: 'ms' },
    { name: '  first views: p99', value: firstViewsP99, unit: 'ms' },
  ]
}

function stormOf(name: string, measured: Measured, { alone, crawler, floor }: Loads, addresses: number): Figure[] {
  const seconds = measured.storm?.seconds ?? Number.NaN
  const perSecond = measured.storeRequests / seconds
  return [
    { name: `${name}: sent`, value: (measured.storm?.sent ?? 0) / seconds, unit: '/s', wanted: '>= 9,900' },
    ...viewersOf('  viewers beside it', measured),
    { name: '  p99 of hits, of that with the 404s', value: measured.hitsP99 / floor.hitsP99, wanted: '<= 1.2' },
    { name: '  the same, of that alone', value: measured.hitsP99 / alone.hitsP99 },
    {
      name: '  first views, p99, of that with the 404s',
      value: measured.firstViewsP99 / floor.firstViewsP99,
      wanted: '<= 1.2',
    },
    { name: '  the same, of that beside the crawler', value: measured.firstViewsP99 / crawler.firstViewsP99 },
    { name: '  the same, of that alone', value: measured.firstViewsP99 / alone.firstViewsP99 },
    { name: '  CPU of servers and generators, of that with the 404s', value: cpuOf(measured) / cpuOf(floor) },
    { name: '  pictures of the crawler, of those before', value: measured.crawledPerSecond / crawler.crawledPerSecond },
    { name: '  store requests for unknown ids', value: perSecond, unit: '/s' },
    { name: '  the same for each address', value: perSecond / addresses, unit: '/s', wanted: '<= 10' },
    { name: '  RSS of the node', value: measured.residentBytes / MB, unit: 'MB' },
  ]
}

function cpuOf({ cpu }: Measured): number {
  return cpu.servers + cpu.generators
}

function answersOf(storm: Storm | undefined): string {
  const statuses = storm?.statuses.toSorted(([one], [other]) => one - other) ?? []
  return statuses.map(([status, count]) => `${count} x ${status}`).join(', ')
}
