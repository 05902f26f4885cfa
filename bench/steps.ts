import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { createSizeSteps, DEFAULT_STEPS, maxFilesPerPicture, stepSpec } from '../src/domain/access/size-steps.ts'
import { formatSpec, parseSpec } from '../src/domain/spec/spec.ts'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { distinctSpecs } from '../tools/requests/size-steps.ts'
import { type Darkroom, startDarkroom, uploadFixture } from '../tools/servers/darkroom.ts'
import { type NginxServer, startNodeNginx } from '../tools/servers/nginx.ts'
import { type BenchOptions, type BenchReport, measureInTurn, median } from './measure.ts'
import { loadWithWrk } from '../tools/requests/wrk.ts'

const REQUESTS = 100_000
const AT_ONCE = 32
const LISTED = '400w,q80'
const STEPPING = { 'map "" $size_steps { default off; }': 'map "" $size_steps { default on; }' } as const
const STEPS = createSizeSteps({
  sides: DEFAULT_STEPS.split(' ').map(Number),
  sizes: [parseSpec(LISTED)],
  maxSide: 8192,
})
const KINDS = ['plain', 'steps', 'lengths', 'crops'] as const
type Kind = (typeof KINDS)[number]

/**
 * SIZE_POLICY=steps: the renders and files that many distinct specs of one picture make, and the rate of hits between the steps, against
 * that of hits of the same steps.
 */
export async function benchSteps({ smoke }: BenchOptions): Promise<BenchReport> {
  const env = { ACCEL_PREFIX: '/_renditions/', SIZE_POLICY: 'steps', SIZES: LISTED }
  const node = await startDarkroom({ env })
  const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir, site: STEPPING })
  const plain = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir })
  try {
    const id = await uploadFixture(node.url, 'mountains.jpg')
    const specs = distinctSpecs(smoke ? 300 : REQUESTS)
    const paths = specs.map((spec) => `/image/${id}/${spec}.jpg`)
    const statuses = await askEach(nginx.origin, paths)
    const rates = await ratesOf({ node, plain, nginx, id, specs: specs.slice(0, 6000), smoke })
    return await report({ node, statuses, rates })
  } finally {
    await plain.stop()
    await nginx.stop()
    await node.stop()
  }
}

async function report({
  node,
  statuses,
  rates,
}: {
  readonly node: Darkroom
  readonly statuses: ReadonlyMap<number, number>
  readonly rates: Readonly<Record<Kind, Rate>>
}): Promise<BenchReport> {
  const entries = await readdir(join(node.cacheDir, 'renditions', 'image'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).length
  const renders = await node.metric('darkroom_render_duration_seconds_count')
  const bound = maxFilesPerPicture(STEPS)
  const errors = [...statuses].filter(([status]) => status >= 500).reduce((sum, [, count]) => sum + count, 0)
  const figures = [
    { name: 'server errors', value: errors, unit: 'answers', wanted: '= 0' },
    { name: 'renders', value: renders, unit: 'renders', wanted: `<= ${bound}` },
    { name: 'files', value: files, unit: 'files', wanted: `<= ${bound}` },
    { name: 'hits between steps, of plain hits', value: rates.lengths.rate / rates.plain.rate, wanted: '>= 0.9' },
    { name: 'CPU of plain hits, of hits between steps', value: rates.plain.cpu / rates.lengths.cpu, wanted: '>= 0.9' },
    { name: 'CPU of a plain hit', value: rates.plain.cpu, unit: 'us' },
    { name: 'CPU of a hit between steps', value: rates.lengths.cpu, unit: 'us' },
    { name: 'CPU of a crop between steps, with the node', value: rates.crops.cpu, unit: 'us' },
    { name: 'plain hits', value: rates.plain.rate, unit: 'requests/s' },
  ]
  return { figures, raw: { statuses: Object.fromEntries(statuses), files, renders, bound, rates } }
}

/** Medians. */
interface Rate {
  /** Requests per second. */
  readonly rate: number
  /** Of nginx and the node for a request, microseconds. */
  readonly cpu: number
}

/** Hits of steps by an nginx that knows no steps and by one that does, and of lengths and crops between them. */
async function ratesOf({
  node,
  plain,
  nginx,
  id,
  specs,
  smoke,
}: {
  readonly node: Darkroom
  readonly plain: NginxServer
  readonly nginx: NginxServer
  readonly id: string
  readonly specs: readonly string[]
  readonly smoke: boolean
}): Promise<Readonly<Record<Kind, Rate>>> {
  const lengths = specs.filter((spec) => !spec.includes(','))
  const crops = specs.filter((spec) => /^\d+w\d+h,cover$/.test(spec))
  const steps = lengths.map((spec) => formatSpec(stepSpec(parseSpec(spec), STEPS)))
  const pathsOf = (texts: readonly string[]) => texts.map((spec) => `/image/${id}/${spec}.jpg`)
  const targets = {
    plain: { server: plain, paths: pathsOf(steps) },
    steps: { server: nginx, paths: pathsOf(steps) },
    lengths: { server: nginx, paths: pathsOf(lengths) },
    crops: { server: nginx, paths: pathsOf(crops) },
  } satisfies Record<Kind, unknown>
  const seconds = smoke ? 1 : 3
  const runs = await measureInTurn(KINDS, smoke ? 1 : 5, async (kind) => {
    const { server, paths } = targets[kind]
    const used = async () => (await cpuSeconds(server.pid)) + (await cpuSeconds(node.pid))
    const before = await used()
    const { requestsPerSecond: rate } = await loadWithWrk(server.origin, seconds, paths)
    return { rate, cpu: (((await used()) - before) / (rate * seconds)) * 1e6 }
  })
  const medians = (kind: Kind): Rate => ({
    rate: median((runs.get(kind) ?? []).map(({ rate }) => rate)),
    cpu: median((runs.get(kind) ?? []).map(({ cpu }) => cpu)),
  })
  return { plain: medians('plain'), steps: medians('steps'), lengths: medians('lengths'), crops: medians('crops') }
}

/** Asks for each path once. @returns the answers by status. */
async function askEach(origin: string, paths: readonly string[]): Promise<ReadonlyMap<number, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const counts = new Map<number, number>()
  const waiting = paths[Symbol.iterator]()
  const ask = async () => {
    for (const path of waiting) {
      const status = await statusOf(origin + path, agent)
      counts.set(status, (counts.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, ask))
  agent.destroy()
  assert.equal(
    [...counts.values()].reduce((sum, count) => sum + count, 0),
    paths.length,
  )
  return counts
}

async function statusOf(url: string, agent: Agent): Promise<number> {
  return await new Promise((resolve, reject) => {
    request(url, { agent }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
      response.once('error', reject)
    })
      .once('error', reject)
      .end()
  })
}
