import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { createSizeSteps, DEFAULT_STEPS, maxFilesPerPicture, stepSpec } from '../src/domain/access/size-steps.ts'
import { formatSpec, parseSpec } from '../src/domain/spec/spec.ts'
import { distinctSpecs } from '../tools/requests/size-steps.ts'
import { type Darkroom, startDarkroom, uploadFixture } from '../tools/servers/darkroom.ts'
import { startNodeNginx } from '../tools/servers/nginx.ts'
import { type BenchOptions, type BenchReport, measureInTurn, median } from './measure.ts'
import { loadWithWrk } from './wrk.ts'

const REQUESTS = 100_000
const AT_ONCE = 32
const LISTED = '400w,q80'
const STEPPING = { 'map "" $size_steps { default off; }': 'map "" $size_steps { default on; }' } as const
const STEPS = createSizeSteps({
  sides: DEFAULT_STEPS.split(' ').map(Number),
  sizes: [parseSpec(LISTED)],
  maxSide: 8192,
})
const KINDS = ['steps', 'lengths'] as const

/**
 * SIZE_POLICY=steps: the renders and files that many distinct specs of one picture make, and the rate of hits between the steps, against
 * that of hits of the same steps.
 */
export async function benchSteps({ smoke }: BenchOptions): Promise<BenchReport> {
  const env = { ACCEL_PREFIX: '/_renditions/', SIZE_POLICY: 'steps', SIZES: LISTED }
  const node = await startDarkroom({ env })
  const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir, site: STEPPING })
  try {
    const id = await uploadFixture(node.url, 'mountains.jpg')
    const specs = distinctSpecs(smoke ? 300 : REQUESTS)
    const paths = specs.map((spec) => `/image/${id}/${spec}.jpg`)
    const statuses = await askEach(nginx.origin, paths)
    const rates = await ratesOf(nginx.origin, id, specs.slice(0, 6000), smoke)
    return await report({ node, statuses, rates })
  } finally {
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
  readonly rates: Readonly<Record<(typeof KINDS)[number], number>>
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
    { name: 'hits between steps, of hits of steps', value: rates.lengths / rates.steps, wanted: '>= 0.9' },
    { name: 'hits of steps', value: rates.steps, unit: 'requests/s' },
  ]
  return { figures, raw: { statuses: Object.fromEntries(statuses), files, renders, bound, rates } }
}

/** Medians of requests per second: of the steps themselves, and of lengths between them; nginx leaves crops to the node. */
async function ratesOf(origin: string, id: string, specs: readonly string[], smoke: boolean) {
  const lengths = specs.filter((spec) => !spec.includes(','))
  const pathsOf = (texts: readonly string[]) => texts.map((spec) => `/image/${id}/${spec}.jpg`)
  const paths = {
    steps: pathsOf(lengths.map((spec) => formatSpec(stepSpec(parseSpec(spec), STEPS)))),
    lengths: pathsOf(lengths),
  }
  const runs = await measureInTurn(KINDS, smoke ? 1 : 5, async (kind) => {
    const { requestsPerSecond } = await loadWithWrk(origin, smoke ? 1 : 3, paths[kind])
    return requestsPerSecond
  })
  const rate = (kind: (typeof KINDS)[number]) => median([...(runs.get(kind) ?? [])])
  return { steps: rate('steps'), lengths: rate('lengths') }
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
