import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Demand, type Plan, planCapacity, viewsPerUpload } from '../../../tools/simulate/capacity.ts'
import { capacityLines, cheapest } from '../../../tools/simulate/capacity-report.ts'
import { demandAt, originalsFor } from '../../../tools/simulate/demand.ts'
import { createTrace } from '../../../tools/simulate/trace.ts'
import { replaceBlock } from '../../../tools/simulate/written-blocks.ts'

/** Round figures, so that the expectations can be calculated by hand. */
const PLAN: Plan = {
  workload: { uploadsPerDay: 864_000, requestsPerSecond: 20_000, peak: 2 },
  machine: { cores: 10, gigabits: 10, utilization: 0.5 },
  figures: {
    hitCpu: 50,
    firstViewCpu: 10,
    storeReadCpu: 5,
    uploadCpu: 200,
    originalBytes: 1e6,
    mezzanineShare: 0.2,
    gets: 2,
    uploadGets: 3,
    uploadPuts: 4,
    listsPerSecond: 1,
    sweepSeconds: 10,
  },
  prices: { cpuHour: 0.1, diskMonth: 0.05, gets: 0.001, puts: 0.01, storeMonth: 0.02 },
}
const DEMAND: Demand = {
  cacheBytesPerUpload: 1e6,
  filesPerUpload: 25,
  misses: 0.1,
  storeReads: 0.02,
  firstViews: 0.05,
  bytesPerRequest: 25_000,
}

test('cores are the sum of uploads, first views and hits at the peak', () => {
  const { cores, coresOf, rendersPerSecond } = planCapacity(PLAN, DEMAND)
  // 10 uploads/s, twice at the peak, 0.2 s each; 2,000 misses/s of 10 ms and 400 reads of the store of 5 ms; 20,000 hits of 50 us.
  assert.deepEqual(coresOf, { uploads: 4, firstViews: 22, hits: 1 })
  assert.equal(cores, 27)
  assert.equal(rendersPerSecond, 2000)
})

test('the busiest resource decides on the nodes, and one more may fail', () => {
  // 27 cores of 10, of which half may be in use: 5.4.
  assert.equal(planCapacity(PLAN, DEMAND).nodes, 7)
  // 20,000 x 125 kB are 20 Gbit/s, of which a node sends half a Gbit/s.
  const slow = { ...PLAN, machine: { ...PLAN.machine, gigabits: 1 } }
  assert.equal(planCapacity(slow, { ...DEMAND, bytesPerRequest: 125_000 }).nodes, 41)
})

test('disks, files and requests to the store follow from the uploads and the misses', () => {
  const { diskBytes, filesPerNode, sweepSeconds, sweepEverySeconds, monthly } = planCapacity(PLAN, DEMAND)
  assert.equal(diskBytes, 864e9)
  assert.equal(Math.round(filesPerNode), Math.round((25 * 864_000) / 7))
  // Two passes over 3.09 million files; 3 % of them are replaced by 1,000 misses/s of seven nodes on average.
  assert.equal(Math.round(sweepSeconds), 62)
  assert.equal(Math.round(sweepEverySeconds), 648)
  // On average 10,000 requests/s: 25.92 billion in 30 days, and 25.92 million uploads.
  assert.deepEqual(monthly, {
    firstViews: 1.296e9,
    gets: 25.92e6 * 3 + 25.92e9 * 0.02 * 2,
    puts: 25.92e6 * 4 + 7 * 2_592_000,
    trafficBytes: 25.92e9 * 25_000,
    storedBytes: 25.92e6 * 1.2e6,
  })
})

test('the price is that of machines, disks and requests; the store itself is separate', () => {
  const { price, monthly } = planCapacity(PLAN, DEMAND)
  assert.equal(price.machines, 7 * 10 * 730 * 0.1)
  assert.equal(price.disks, 864 * 0.05)
  assert.equal(price.storeRequests, monthly.gets * 1e-6 + monthly.puts * 1e-5)
  assert.equal(price.total, price.machines + price.disks + price.storeRequests)
  assert.equal(Math.round(price.storage), Math.round(25.92e6 * 1.2e-3 * 0.02))
  assert.equal(price.perMillion, price.total / 1296)
  // 15 ms on cores of which half are in use, and two GET.
  assert.ok(Math.abs(price.perMillionAlone - ((0.03 * 1e6) / 3600) * 0.1 - 2) < 1e-9)
})

test('a trace has the views of each upload that the workload has', () => {
  const views = viewsPerUpload(PLAN.workload)
  assert.equal(views, 1000)
  const originals = originalsFor(views, { requests: 1_000_000, days: 14 })
  // Uploads in 42 days, requests in 14.
  assert.equal(originals, 3000)
})

test('a larger cache leaves fewer misses, no fewer than the first views', () => {
  const scale = { originals: 100, days: 14 }
  const trace = createTrace({ seed: 1, requests: 20_000, zipf: 0.9, ...scale })
  const [small, large] = [0.05, 0.4].map((share) => demandAt(trace, scale, share))
  assert.ok(small && large)
  assert.ok(small.misses > large.misses && large.misses >= large.firstViews)
  assert.ok(large.storeReads < large.misses && large.filesPerUpload > small.filesPerUpload)
  assert.equal(large.cacheBytesPerUpload, (trace.totalBytes * 0.4) / (100 / 42))
})

test('the report names the cheapest size of the cache, every figure and every price', () => {
  const demands = [DEMAND, { ...DEMAND, misses: 0.2, cacheBytesPerUpload: 5e5 }]
  const rows = demands.map((demand, index) => ({
    share: 0.1 / (index + 1),
    demand,
    capacity: planCapacity(PLAN, demand),
  }))
  assert.equal(cheapest(rows), rows[0])
  const text = capacityLines(PLAN, rows).join('\n')
  assert.match(text, /^\| 10 %, the cheapest \| 0\.864 TB \| 10 % \| 2 % \| 27 \| 7 \|/m)
  for (const name of Object.keys(PLAN.figures)) assert.ok(text.includes(`\`${name}\``), name)
  assert.match(text, /Vercel.*\$50 to \$81/)
})

test('a block of a page is replaced, and nothing else; a page without it is refused', () => {
  const page = 'before\n<!-- simulate: costs -->\nold\n<!-- end of costs -->\nafter\n'
  const written = replaceBlock(page, 'costs', ['| new |'])
  assert.equal(written, 'before\n<!-- simulate: costs -->\n\n| new |\n\n<!-- end of costs -->\nafter\n')
  assert.equal(replaceBlock(written, 'costs', ['| new |']), written)
  assert.throws(() => replaceBlock(page, 'replay', []), /no block "replay"/)
})
