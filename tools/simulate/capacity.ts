import { LOW_WATER } from '../../src/domain/sweep/sweep-plan.ts'
import type { Figures } from './measured.ts'
import type { Prices } from './prices.ts'

const DAY_SECONDS = 86_400
const MONTH_DAYS = 30
/** As clouds count a month. */
const MONTH_HOURS = 730
/** One counts the files, and one removes some. */
const SWEEP_PASSES = 2

/** What a site asks for. */
export interface Workload {
  readonly uploadsPerDay: number
  /** Requests for renditions at the peak. */
  readonly requestsPerSecond: number
  /** The peak as a multiple of the average, of requests and uploads alike. */
  readonly peak: number
}

export interface Machine {
  readonly cores: number
  readonly gigabits: number
  /** Share of the cores and of the network in use at the peak, without the node that may fail. */
  readonly utilization: number
}

/** What the simulation found for a size of the cache. */
export interface Demand {
  /** Bytes of the cache for each upload of a day. */
  readonly cacheBytesPerUpload: number
  /** Files in a full cache for each upload of a day. */
  readonly filesPerUpload: number
  readonly misses: number
  readonly storeReads: number
  /** Misses with an endless cache. */
  readonly firstViews: number
  readonly bytesPerRequest: number
}

export interface Capacity {
  readonly cores: number
  /** Cores by work: their sum is `cores`. */
  readonly coresOf: Readonly<Record<'uploads' | 'firstViews' | 'hits', number>>
  readonly gigabits: number
  /** With one that may fail. */
  readonly nodes: number
  readonly diskBytes: number
  readonly filesPerNode: number
  /** Time of a sweep that frees space, and between two of them, s. */
  readonly sweepSeconds: number
  readonly sweepEverySeconds: number
  readonly rendersPerSecond: number
  readonly monthly: {
    readonly firstViews: number
    readonly gets: number
    readonly puts: number
    /** Sent to viewers. */
    readonly trafficBytes: number
    /** Added to the store. */
    readonly storedBytes: number
  }
  readonly price: Price
}

/** Dollars a month. */
export interface Price {
  readonly machines: number
  readonly disks: number
  readonly storeRequests: number
  /** All of the above. */
  readonly total: number
  /** Of what a month's uploads add to the store, for each month that they stay there. */
  readonly storage: number
  /** The total per million first views. */
  readonly perMillion: number
  /** Per million first views: only what they cost themselves, in CPU and requests to the store. */
  readonly perMillionAlone: number
}

export interface Plan {
  readonly workload: Workload
  readonly machine: Machine
  readonly figures: Figures
  readonly prices: Prices
}

export function viewsPerUpload({ uploadsPerDay, requestsPerSecond, peak }: Workload): number {
  return ((requestsPerSecond / peak) * DAY_SECONDS) / uploadsPerDay
}

export function planCapacity(plan: Plan, demand: Demand): Capacity {
  const { workload, machine, figures } = plan
  const { uploadsPerDay, requestsPerSecond, peak } = workload
  const coresOf = {
    uploads: ((uploadsPerDay / DAY_SECONDS) * peak * figures.uploadCpu) / 1000,
    firstViews: (requestsPerSecond * missMilliseconds(figures, demand)) / 1000,
    hits: (requestsPerSecond * figures.hitCpu) / 1e6,
  }
  const cores = coresOf.uploads + coresOf.firstViews + coresOf.hits
  const gigabits = (requestsPerSecond * demand.bytesPerRequest * 8) / 1e9
  const busiest = Math.max(cores / machine.cores, gigabits / machine.gigabits)
  const nodes = Math.ceil(busiest / machine.utilization) + 1
  const requests = (requestsPerSecond / peak) * DAY_SECONDS * MONTH_DAYS
  const uploads = uploadsPerDay * MONTH_DAYS
  const monthly = {
    firstViews: requests * demand.firstViews,
    gets: uploads * figures.uploadGets + requests * demand.storeReads * figures.gets,
    puts: uploads * figures.uploadPuts + nodes * figures.listsPerSecond * DAY_SECONDS * MONTH_DAYS,
    trafficBytes: requests * demand.bytesPerRequest,
    storedBytes: uploads * figures.originalBytes * (1 + figures.mezzanineShare),
  }
  const diskBytes = demand.cacheBytesPerUpload * uploadsPerDay
  const filesPerNode = (demand.filesPerUpload * uploadsPerDay) / nodes
  const rendersPerSecond = requestsPerSecond * demand.misses
  return {
    cores,
    coresOf,
    gigabits,
    nodes,
    diskBytes,
    filesPerNode,
    sweepSeconds: (SWEEP_PASSES * figures.sweepSeconds * filesPerNode) / 1e6,
    sweepEverySeconds: ((1 - LOW_WATER) * filesPerNode) / (rendersPerSecond / peak / nodes),
    rendersPerSecond,
    monthly,
    price: priceOf(plan, { nodes, diskBytes, monthly }),
  }
}

function priceOf(
  { machine, figures, prices }: Plan,
  { nodes, diskBytes, monthly }: Pick<Capacity, 'nodes' | 'diskBytes' | 'monthly'>,
): Price {
  const machines = nodes * machine.cores * MONTH_HOURS * prices.cpuHour
  const disks = (diskBytes / 1e9) * prices.diskMonth
  const storeRequests = (monthly.gets * prices.gets + monthly.puts * prices.puts) / 1000
  const total = machines + disks + storeRequests
  const hours = (figures.firstViewCpu + figures.storeReadCpu) / 3_600_000 / machine.utilization
  return {
    machines,
    disks,
    storeRequests,
    total,
    storage: (monthly.storedBytes / 1e9) * prices.storeMonth,
    perMillion: (total / monthly.firstViews) * 1e6,
    perMillionAlone: (hours * prices.cpuHour + (figures.gets * prices.gets) / 1000) * 1e6,
  }
}

/** CPU of the misses, per request, ms. */
function missMilliseconds(figures: Figures, { misses, storeReads }: Demand): number {
  return misses * figures.firstViewCpu + storeReads * figures.storeReadCpu
}
