// The body of `npm run fuzz`: sends hostile files, forms and URLs to a real node.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { megabytes } from './commands/megabytes.ts'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { changesOfHits, walkSizes } from './fuzz/cache-walk.ts'
import type { FuzzFinding, FuzzReport } from './fuzz/fuzz-finding.ts'
import { fuzzForms } from './fuzz/fuzz-forms.ts'
import { fuzzImages } from './fuzz/fuzz-images.ts'
import { fuzzSeeds } from './fuzz/fuzz-seeds.ts'
import { type FuzzSite, startFuzzSite } from './fuzz/fuzz-site.ts'
import { fuzzUrls } from './fuzz/fuzz-urls.ts'
import { tryInSmallMemory } from './fuzz/small-memory.ts'
import { cpuSecondsAtRest, proportionalBytes } from './processes/process-use.ts'
import { rendererPids } from './processes/renderers.ts'
import { createScope, type Scope } from './processes/scope.ts'

const USAGE = `Usage: npm run fuzz [-- <options>]

Sends corrupted files, malformed forms and random URLs to a real node, directly and through nginx.

  --images 5000             number of corrupted image files
  --forms 2000              number of malformed upload forms
  --urls 100000             number of URLs with request headers
  --seed 1                  seed of the random generator
  --seconds 1200            time limit of each kind of input
  --findings fuzz-findings  folder for the inputs that reveal a fault
  --cgroup                  instead: decompression bombs and 64 large renders at once in 512 MB of memory; requires root
  --walk 10000              instead: request this many sizes of one picture with a small disk; requires root
  --help                    print this help

Exit code: 0 no findings; 1 findings; 2 the command could not run.
`

const MB = 1e6
const WARM_FILES = 100
const WARM_URLS = 500
/** Memory may have grown by so much in the end. */
const GROWTH_BYTES = 100 * MB
const REST_MS = 60_000

interface FuzzOptions {
  readonly images: number
  readonly urls: number
  readonly forms: number
  readonly seed: number
  readonly seconds: number
  readonly findings: string
}

/** @returns The exit code. */
async function fuzz(
  scope: Scope,
  { images, urls, forms, seed, seconds, findings: folder }: FuzzOptions,
): Promise<number> {
  const site = await startFuzzSite(scope)
  const { node, nginx, world } = site
  const shared = { world, seconds }
  const seeds = await fuzzSeeds()
  const files = { url: site.url, seeds, publish: site.publish }
  // What everything needs once is there before memory is looked at.
  await fuzzImages({ ...files, count: WARM_FILES, seed: seed + 1, seconds })
  await fuzzUrls({ ...shared, port: node.port, server: 'node', count: WARM_URLS, seed: seed + 1 })
  const before = await restingMemory(site)

  const ofFiles = await fuzzImages({ ...files, count: images, seed, seconds })
  report('files', ofFiles)
  const halfOfForms = { seeds, seconds, count: Math.ceil(forms / 2) }
  const formsAtNode = await fuzzForms({ ...halfOfForms, port: node.port, server: 'node', seed })
  report('forms at the node', formsAtNode)
  const formsAtNginx = await fuzzForms({ ...halfOfForms, port: nginx.port, server: 'nginx', seed: seed + 2 })
  report('forms through nginx', formsAtNginx)
  const half = Math.ceil(urls / 2)
  const ofNode = await fuzzUrls({ ...shared, port: node.port, server: 'node', count: half, seed })
  report('URLs at the node', ofNode)
  const ofNginx = await fuzzUrls({ ...shared, port: nginx.port, server: 'nginx', count: half, seed: seed + 2 })
  report('URLs through nginx', ofNginx)

  const after = await restingMemory(site, before.all + GROWTH_BYTES)
  const reports = [ofFiles, formsAtNode, formsAtNginx, ofNode, ofNginx]
  const findings = [...reports.flatMap((each) => each.findings), ...(await findingsOf(site))]
  if (after.all - before.all > GROWTH_BYTES)
    findings.push({ request: 'everything', problem: `memory has grown by more than ${megabytes(GROWTH_BYTES)}` })
  const counters = await Promise.all(
    ['crashes', 'timeouts', 'memory_restarts'].map(
      async (name) => `${name} ${await node.metric(`darkroom_renderer_${name}_total`)}`,
    ),
  )
  say(`memory at rest: ${describe(before)} before, ${describe(after)} after; renderers: ${counters.join(', ')}`)
  await save(folder, findings)
  return findings.length === 0 ? 0 : 1
}

async function inSmallMemory(scope: Scope): Promise<number> {
  const { renders, bombs, oomKills, peakBytes, crashes } = await tryInSmallMemory(scope)
  report('renders of 24 MP', renders)
  report('bombs', bombs)
  say(`OOM kills: ${oomKills}; peak memory with page cache: ${megabytes(peakBytes)}; renderer crashes: ${crashes}`)
  const findings = [...renders.findings, ...bombs.findings]
  for (const { request, problem } of findings) say(`finding: ${request}: ${problem}`)
  return findings.length === 0 && oomKills === 0 && crashes === 0 ? 0 : 1
}

async function walk(scope: Scope, count: number): Promise<number> {
  const { sizes, budgetBytes, mostBytes, samples, overBudget, leastFreeBytes, hits } = await walkSizes(scope, count)
  report('sizes of one picture', sizes)
  const most = `peak size of the cache: ${megabytes(mostBytes)} of ${megabytes(budgetBytes)}`
  say(`${most}, ${overBudget} of ${samples} samples above it; least free disk space: ${megabytes(leastFreeBytes)}`)
  for (const [when, { asked, misses, median, p99, longest }] of Object.entries(hits)) {
    const times = `median ${median.toFixed(2)} ms, p99 ${p99.toFixed(1)} ms, maximum ${longest.toFixed(0)} ms`
    say(`hits through nginx ${when} it: ${times}; ${misses} of ${asked} were rendered again`)
  }
  const problems = [...sizes.findings.map(({ request, problem }) => `${request}: ${problem}`), ...changesOfHits(hits)]
  for (const problem of problems) say(`finding: ${problem}`)
  return problems.length === 0 && overBudget === 0 && leastFreeBytes > 0 ? 0 : 1
}

/** The node is the one that was started, and nothing in it went wrong unexpectedly. */
async function findingsOf({ node }: FuzzSite): Promise<FuzzFinding[]> {
  const log = await node.log()
  const starts = log.filter(({ msg }) => msg === 'listening')
  const errors = log.filter(({ level }) => level === 'error')
  return [
    ...(starts.length === 1 ? [] : [{ request: 'everything', problem: `the node started ${starts.length} times` }]),
    ...errors.map((line) => ({ request: String(line['path']), problem: JSON.stringify(line) })),
  ]
}

interface RestingMemory {
  readonly all: number
  readonly renderers: number
}

/**
 * Shared memory counted once, when there is nothing left to do.
 *
 * @param wanted So much at most, in bytes: a renderer that has grown needs a while of rest to be replaced.
 */
async function restingMemory({ node }: FuzzSite, wanted = Infinity): Promise<RestingMemory> {
  const deadline = performance.now() + REST_MS
  for (;;) {
    await cpuSecondsAtRest(node.pid)
    const all = await proportionalBytes(node.pid)
    const each = await Promise.all((await rendererPids(node.pid)).map(proportionalBytes))
    if (all <= wanted || performance.now() > deadline)
      return { all, renderers: each.reduce((sum, bytes) => sum + bytes, 0) }
  }
}

function describe({ all, renderers }: RestingMemory): string {
  return `${megabytes(all)} (renderers ${megabytes(renderers)})`
}

function report(name: string, { tried, answers, slowestMs, findings }: FuzzReport): void {
  const counted = Object.entries(answers).map(([kind, count]) => `${kind}: ${count}`)
  const slowest = `slowest response ${Math.round(slowestMs)} ms`
  say(`${tried} ${name}: ${findings.length} findings, ${slowest}; ${counted.toSorted().join(', ')}`)
}

async function save(folder: string, findings: readonly FuzzFinding[]): Promise<void> {
  if (findings.length === 0) return
  await mkdir(folder, { recursive: true })
  for (const [at, { request, problem, how = '', bytes }] of findings.entries()) {
    say(`finding ${at}: ${request} ${problem} ${how}`)
    if (bytes) await writeFile(join(folder, String(at)), bytes)
  }
  say(
    `The inputs are in ${folder}. Add each one that reveals a fault to test/fixtures/hostile, whose files are all tested.`,
  )
}

await runTool({
  name: 'fuzz',
  usage: USAGE,
  options: {
    images: { type: 'string', default: '5000' },
    urls: { type: 'string', default: '100000' },
    forms: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '1200' },
    findings: { type: 'string', default: 'fuzz-findings' },
    cgroup: { type: 'boolean', default: false },
    walk: { type: 'string' },
  },
  async run({ cgroup, walk: count, findings, ...numbers }) {
    const options = {
      images: wholeNumber('images', numbers.images),
      urls: wholeNumber('urls', numbers.urls),
      forms: wholeNumber('forms', numbers.forms),
      seed: wholeNumber('seed', numbers.seed),
      seconds: wholeNumber('seconds', numbers.seconds),
      findings,
    }
    const scope = createScope()
    try {
      if (cgroup) return await inSmallMemory(scope)
      if (count !== undefined) return await walk(scope, wholeNumber('walk', count))
      return await fuzz(scope, options)
    } finally {
      await scope.close()
    }
  },
})
