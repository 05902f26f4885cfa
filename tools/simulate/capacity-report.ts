import { linePlot } from '../pictures/line-plot.ts'
import { type Capacity, type Demand, type Plan, viewsPerUpload } from './capacity.ts'
import { MEASURED } from './measured.ts'
import { HOSTED, PRICE_SOURCES } from './prices.ts'

/** A size of the cache, as a share of the bytes of all requested files. */
export interface CapacityRow {
  readonly share: number
  readonly demand: Demand
  readonly capacity: Capacity
}

/** The size of the cache with the lowest price. */
export function cheapest(rows: readonly CapacityRow[]): CapacityRow {
  const [best] = rows.toSorted((one, other) => one.capacity.price.total - other.capacity.price.total)
  if (best === undefined) throw new RangeError('There is no size of the cache to choose from')
  return best
}

export function capacityLines(plan: Plan, rows: readonly CapacityRow[]): readonly string[] {
  const best = cheapest(rows)
  return [...assumptions(plan, best), '', ...cacheTable(rows, best), '', ...workTable(best), '', ...priceTable(best)]
}

function assumptions({ workload, machine, prices, figures }: Plan, { demand }: CapacityRow): readonly string[] {
  const { uploadsPerDay, requestsPerSecond, peak } = workload
  return [
    `Workload: ${count(uploadsPerDay)} uploads a day, ${count(requestsPerSecond)} requests/s at the peak, which is ${peak} times the average: ` +
      `${count(viewsPerUpload(workload))} views of each upload, ${kilobytes(demand.bytesPerRequest)} each. ` +
      `Nodes: ${machine.cores} cores and ${machine.gigabits} Gbit/s, of which ${percent(machine.utilization)} are in use at the peak; one more may fail.`,
    '',
    'Measured costs:',
    '',
    '| figure | value | source |',
    '| --- | --- | --- |',
    ...Object.entries(MEASURED).map(([name, { unit, source }]) => {
      const value = Object.entries(figures).find(([key]) => key === name)?.[1] ?? Number.NaN
      return `| \`${name}\` | ${significant(value)} ${unit} | ${source} |`
    }),
    '',
    `Prices, to be changed with options: $${prices.cpuHour} per vCPU and hour, $${prices.diskMonth} per GB of disk and month, $${prices.gets} per 1,000 GET, ` +
      `$${prices.puts} per 1,000 PUT or LIST, $${prices.storeMonth} per GB and month in the store. Sources of the defaults:`,
    '',
    ...PRICE_SOURCES.map((source) => `- ${source}`),
  ]
}

function cacheTable(rows: readonly CapacityRow[], best: CapacityRow): readonly string[] {
  return [
    '| cache | disk, all nodes | misses | reads of the store | cores at the peak | nodes | files per node | machines, disks, store requests a month |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => {
      const { share, demand, capacity } = row
      const { price } = capacity
      const cells = [
        `${significant(share * 100)} %${row === best ? ', the cheapest' : ''}`,
        terabytes(capacity.diskBytes),
        percent(demand.misses),
        percent(demand.storeReads),
        count(capacity.cores),
        count(capacity.nodes),
        count(capacity.filesPerNode),
        `${dollars(price.machines)} + ${dollars(price.disks)} + ${dollars(price.storeRequests)} = ${dollars(price.total)}`,
      ]
      return `| ${cells.join(' | ')} |`
    }),
  ]
}

function workTable({ capacity }: CapacityRow): readonly string[] {
  const { coresOf, gigabits, monthly, nodes, diskBytes, rendersPerSecond, price, sweepSeconds, sweepEverySeconds } =
    capacity
  return [
    'The cheapest of them:',
    '',
    '| | |',
    '| --- | --- |',
    `| cores at the peak for uploads, first views, hits | ${count(coresOf.uploads)}, ${count(coresOf.firstViews)}, ${count(coresOf.hits)} |`,
    `| renders at the peak | ${count(rendersPerSecond)}/s |`,
    `| network at the peak | ${count(gigabits)} Gbit/s |`,
    `| disk of a node | ${terabytes(diskBytes / nodes)} |`,
    `| a sweep of a node's files takes; and is needed every | ${minutes(sweepSeconds)}; ${minutes(sweepEverySeconds)} on average |`,
    `| requests to the store in a month | ${count(monthly.gets)} GET and HEAD, ${count(monthly.puts)} PUT and LIST |`,
    `| not in the price: traffic to viewers in a month | ${terabytes(monthly.trafficBytes)} |`,
    `| not in the price: the store | ${terabytes(monthly.storedBytes)} more each month, ${dollars(price.storage)} a month for each month of uploads |`,
  ]
}

function priceTable({ capacity }: CapacityRow): readonly string[] {
  const { price, monthly } = capacity
  return [
    `Price of a million first views, of ${count(monthly.firstViews)} in a month:`,
    '',
    '| | a million first views | source |',
    '| --- | --- | --- |',
    `| Darkroom: all machines, disks and store requests, so uploads and hits too | ${dollars(price.perMillion)} | above |`,
    `| Darkroom: the first views alone | ${dollars(price.perMillionAlone)} | their CPU and GET |`,
    ...HOSTED.map(({ name, perMillion, source }) => `| ${name} | ${range(perMillion)} | ${source} |`),
  ]
}

/** For the README. */
export function capacitySummary({ workload }: Plan, rows: readonly CapacityRow[]): readonly string[] {
  const { capacity } = cheapest(rows)
  const { price, monthly } = capacity
  const hosted = HOSTED.map(({ name, perMillion }) => `${name} ${range(perMillion)}`).join(', ')
  return [
    `- **Size**: ${count(workload.uploadsPerDay)} uploads a day and ${count(workload.requestsPerSecond)} requests/s need ${count(capacity.nodes)} nodes, ${terabytes(capacity.diskBytes)} of disk, and in a month`,
    `  ${count(monthly.gets)} GET and ${count(monthly.puts)} PUT to the store (\`npm run simulate -- --costs\`).`,
    `- **Price** of that: ${dollars(price.total)} a month at AWS's list prices without traffic and storage, or ${dollars(price.perMillion)} for a million first views,`,
    `  uploads and hits included. List prices of a million: ${hosted}.`,
  ]
}

export function pricePlot(rows: readonly CapacityRow[]): string {
  const line = (value: (capacity: Capacity) => number) =>
    rows.map(({ share, capacity }) => [share * 100, value(capacity) / 1000] as const)
  return linePlot({
    title: 'Price by size of the cache',
    xLabel: 'cache, % of the bytes of all requested files',
    yLabel: 'thousand dollars a month',
    logX: true,
    series: [
      { name: 'in all', points: line(({ price }) => price.total) },
      { name: 'machines', points: line(({ price }) => price.machines), dashed: true },
      { name: 'disks', points: line(({ price }) => price.disks), dashed: true },
      { name: 'store requests', points: line(({ price }) => price.storeRequests), dashed: true },
    ],
  })
}

function count(value: number): string {
  const [divisor, unit] = value >= 1e9 ? [1e9, ' billion'] : value >= 1e6 ? [1e6, ' million'] : [1, '']
  return significant(value / divisor) + unit
}

function significant(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: value >= 1000 ? 4 : 3 })
}

function dollars(value: number): string {
  return `$${value >= 1000 ? significant(Math.round(value / 100) * 100) : significant(value)}`
}

function range([low, high]: readonly [number, number]): string {
  return low === high ? dollars(low) : `${dollars(low)} to ${dollars(high)}`
}

function percent(share: number): string {
  return `${significant(share * 100)} %`
}

function minutes(seconds: number): string {
  return `${significant(seconds / 60)} min`
}

function terabytes(bytes: number): string {
  return `${significant(bytes / 1e12)} TB`
}

function kilobytes(bytes: number): string {
  return `${significant(bytes / 1000)} kB`
}
