// The body of `npm test`: starts real servers and runs the tests against them.
import { globSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec as SpecReporter } from 'node:test/reporters'
import { pathToFileURL } from 'node:url'
import { inspect, parseArgs } from 'node:util'
import { shareDockerEngine, startDockerEngine } from './docker/docker-engine.ts'
import { makeImages } from './docker/docker-images.ts'
import { runQuietly } from './processes/process.ts'
import { S3_KINDS, type S3Kind } from './s3/s3-server.ts'
import { isS3Kind, shareS3Server, startS3Server } from './s3/start-s3-server.ts'
import { ensureFrameworks } from './servers/install-frameworks.ts'
import { ensureChromium, ensureLanguages, ensureNginx } from './servers/install-servers.ts'

const USAGE = `Usage: npm test [-- [--s3=<server>] [file or pattern ...]]

Starts real servers (S3, nginx, Chromium) and runs the tests against them. A skipped test is a failure.

  file or pattern  test files to run, such as test/unit/domain/spec/spec.test.ts or 'test/e2e/*.test.ts'; default: all
                   tests, or with minio and ceph, the tests of the S3 store and those of test/minio or test/ceph
  --s3=<server>    S3 server: seaweedfs (default), minio or ceph
  --help           print this help

Missing servers are installed on Debian, as root. Not part of npm test: npm run test:browser (the page at /, galleries
and the recipes), test:frameworks (the examples for web frameworks), test:operator (doctor, alerts, Prometheus, TLS,
logs), test:openapi, test:troubleshooting (common mistakes), test:ftp (intake, FTP), test:cluster (several nodes),
test:haproxy (the front), test:docker (the image and docker-compose.yml, in a Docker engine of its own), and
test:examples, which also needs Python, PHP, Ruby and Go: Debian's packages python3, php-cli, ruby and golang-go.

Exit code: 0 all tests passed; 1 otherwise.
`

const ROOT = resolve(import.meta.dirname, '..')
const ALL_TESTS = ['test/{unit,contract,golden,integration,e2e}/**/*.test.ts']
const STORE_TESTS = ['test/contract/object-store*.test.ts', 'test/integration/s3-*.test.ts', 'test/e2e/events.test.ts']
/** Folders of tests that need no S3 server. */
const WITHOUT_SERVER = new Set<string | undefined>(['unit', 'examples'])
/** Tests of features that only these servers have. */
const OWN_TESTS = { seaweedfs: [], minio: ['test/minio/*.test.ts'], ceph: ['test/ceph/*.test.ts'] } as const

/** For one test. An open handle keeps its file from ending; only the limit of the run ends it. */
const TEST_TIMEOUT_MS = 120_000
/** For a test that installs a framework and builds an app with it, or lets nodes fail one after the other. */
const BUILD_TIMEOUT_MS = 8 * 60_000
const RUN_TIMEOUT_MS = 30 * 60_000

/** The longest files start first, so that none is left running alone at the end. */
const FIRST = ['test/e2e/crash.test.ts', 'test/e2e/fault-clients.test.ts', 'test/integration/bombs.test.ts']
/** Tests that wait for deadlines most of the time, and leave the CPU to others. */
const WAITING =
  /^test\/(?:e2e\/(?:not-found-limit|relay|slow-client|stalled-upload)|integration\/(?:nginx-limits|start-trouble|s3-faults))/
/** Tests with bounds on how long something may take, or of what happens at the limits of a node. */
const BOUNDED =
  /^test\/(?:browser\/galleries|e2e\/(?:cache-budget|coalescing|deletion|fault-|lifecycle|renderer-crash)|integration\/(?:cache-sweep|remote-|renderer-pool|s3-bucket))/
/** Tests of web frameworks from Debian and PyPI. */
const FRAMEWORKS = /^test\/frameworks\/(?:clients|django|laravel|rails|wordpress)/
/** Tests that start servers of their own, each with several processes. */
const ALONE = /^test\/(?:minio|ceph)/
/** Tests of apps (npm, a build and Chromium) and of clusters in containers, with several processes each. */
const BUILDS = /^test\/(?:docker|frameworks|haproxy\/changing-nodes)/
/** Unit tests that measure the memory of their process, or start a long command. The others share one process. */
const OWN_PROCESS = /^test\/unit\/(?:import-rules|retained-memory|service\/library\/remote-purge)/

type Lane = 'main' | 'waiting' | 'bounded' | 'alone' | 'builds'
/** Lanes that run at the same time, with the number of files at once: made for two cores. */
const ROUNDS: readonly (readonly { readonly lane: Lane; readonly concurrency: number }[])[] = [
  [
    { lane: 'main', concurrency: 2 },
    { lane: 'waiting', concurrency: 1 },
  ],
  [{ lane: 'bounded', concurrency: 2 }],
  [{ lane: 'alone', concurrency: 1 }],
  [{ lane: 'builds', concurrency: 2 }],
]

function laneOf(file: string): Lane {
  if (ALONE.test(file)) return 'alone'
  if (BUILDS.test(file)) return 'builds'
  if (WAITING.test(file)) return 'waiting'
  return BOUNDED.test(file) ? 'bounded' : 'main'
}

interface Outcome {
  passed: number
  failed: number
  /** Names of tests that were skipped or are still to do. */
  readonly notRun: string[]
  /** Paths of test files of which no test passed: the runner itself counts a file without a test as passed. */
  readonly withoutTest: Set<string>
  /** What failed and why, ready to be read. */
  readonly failures: string[]
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { s3: { type: 'string' }, help: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const kind = values.s3 ?? 'seaweedfs'
  if (!isS3Kind(kind)) throw new Error(`--s3: "${kind}" should be one of ${S3_KINDS.join(', ')}`)
  const preset = kind === 'seaweedfs' ? ALL_TESTS : [...STORE_TESTS, ...OWN_TESTS[kind]]
  const files = findFiles(positionals.length > 0 ? positionals : preset)

  if (files.some((file) => /^test\/(browser|cluster|e2e|integration\/nginx|operator|troubleshooting)/.test(file)))
    await ensureNginx()
  if (files.some((file) => /^test\/(browser|e2e|frameworks)/.test(file))) await ensureChromium()
  if (files.some((file) => folderOf(file) === 'examples')) await ensureLanguages()
  if (files.some((file) => FRAMEWORKS.test(file))) await ensureFrameworks()
  // glibc keeps an arena of memory per thread, and libvips has many threads; a node is run with the same.
  process.env.MALLOC_ARENA_MAX = '2'
  const compiled = await mkdtemp(join(tmpdir(), 'darkroom-compiled-'))
  process.env.NODE_COMPILE_CACHE = compiled
  try {
    const runTests = () => runRounds(files, join(compiled, 'unit-tests.mjs'))
    if (files.every((file) => folderOf(file) === 'docker')) return report(await runWithDocker(runTests))
    if (files.every((file) => WITHOUT_SERVER.has(folderOf(file)))) return report(await runTests())
    return report(await runWithServer(kind, runTests))
  } finally {
    await rm(compiled, { recursive: true, force: true })
  }
}

async function runWithServer(kind: S3Kind, runTests: () => Promise<Outcome>): Promise<Outcome> {
  await compileNode()
  const server = await startS3Server(kind)
  try {
    shareS3Server(server)
    return await runTests()
  } finally {
    await server.stop()
  }
}

async function runWithDocker(runTests: () => Promise<Outcome>): Promise<Outcome> {
  const engine = await startDockerEngine()
  try {
    await makeImages(engine)
    shareDockerEngine(engine)
    return await runTests()
  } finally {
    await engine.stop()
  }
}

/**
 * Hundreds of nodes start in a run, all of the same sources: compiled before, each takes half the CPU for that. Those that
 * are killed would leave nothing compiled for the next.
 */
async function compileNode(): Promise<void> {
  await runQuietly(process.execPath, [join(ROOT, 'src/main.ts'), '--help'], process.env)
}

/** @throws Error when a pattern finds nothing: a renamed file must not make a run pass. */
function findFiles(patterns: readonly string[]): string[] {
  const found = patterns.map((pattern) => {
    const files = globSync(pattern, { cwd: ROOT })
    if (files.length === 0) throw new Error(`No test file matches ${pattern}`)
    return files
  })
  return [...new Set(found.flat())].toSorted()
}

function folderOf(file: string): string | undefined {
  return relative('test', file).split('/')[0]
}

/** @param bundle Path of a module that is written to import the unit tests, so that they share one process. */
async function runRounds(files: readonly string[], bundle: string): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, failed: 0, notRun: [], withoutTest: new Set(files.map(toPath)), failures: [] }
  const bundled = files.filter((file) => folderOf(file) === 'unit' && !OWN_PROCESS.test(file))
  await writeFile(bundle, bundled.map((file) => `import ${JSON.stringify(pathToFileURL(toPath(file)))}\n`).join(''))
  const others = files.filter((file) => !bundled.includes(file)).toSorted((one, other) => turnOf(one) - turnOf(other))
  for (const lanes of ROUNDS) {
    const reports = lanes.map(async ({ lane, concurrency }) => {
      const paths = others.filter((file) => laneOf(file) === lane).map(toPath)
      if (lane === 'main' && bundled.length > 0) paths.push(bundle)
      const timeoutMs = lane === 'builds' ? BUILD_TIMEOUT_MS : TEST_TIMEOUT_MS
      if (paths.length > 0) await runFiles(paths, { concurrency, timeoutMs, isLive: lane !== 'waiting' }, outcome)
    })
    await Promise.all(reports)
  }
  return outcome
}

function toPath(file: string): string {
  return resolve(ROOT, file)
}

function turnOf(file: string): number {
  const turn = FIRST.indexOf(file)
  return turn === -1 ? FIRST.length : turn
}

interface LaneOptions {
  readonly concurrency: number
  /** Of a test. */
  readonly timeoutMs: number
  /** Print the report as it grows. Otherwise at the end, so that it does not mix with that of another lane. */
  readonly isLive: boolean
}

async function runFiles(files: string[], options: LaneOptions, outcome: Outcome): Promise<void> {
  const { concurrency, timeoutMs, isLive } = options
  const tests = run({
    files,
    cwd: ROOT,
    concurrency,
    timeout: timeoutMs,
    signal: AbortSignal.timeout(RUN_TIMEOUT_MS),
  })
  tests.on('test:pass', ({ name, file, skip, todo }) => {
    if (skip !== undefined || todo !== undefined) outcome.notRun.push(name)
    // The runner reports a file without a test as a test that is named by its path.
    if (file !== undefined && name !== file) outcome.withoutTest.delete(file)
  })
  tests.on('test:fail', ({ name, file, line, details: { error } }) => {
    // A test around it fails with it, and knows nothing more.
    if (failureTypeOf(error) === 'subtestsFailed') return
    const where = file === undefined ? '' : `${relative(ROOT, file)}:${line} `
    outcome.failures.push(`${where}${name}\n${inspect(error.cause ?? error)}`)
  })
  tests.on('test:summary', ({ file, counts }) => {
    if (file !== undefined) {
      if (counts.tests > 0) outcome.withoutTest.delete(file)
      return
    }
    outcome.passed += counts.passed
    outcome.failed += counts.tests - counts.passed - counts.skipped - counts.todo
  })
  const lines = new SpecReporter()
  const printed = isLive ? pipeline(lines, process.stdout, { end: false }) : text(lines)
  await pipeline(tests, lines)
  const atTheEnd = await printed
  if (atTheEnd !== undefined) process.stdout.write(atTheEnd)
}

function failureTypeOf(error: Error): unknown {
  return 'failureType' in error ? error.failureType : undefined
}

/** Repeats the failures at the end, where a truncated log still contains them. @returns The exit code. */
function report({ passed, failed, notRun, withoutTest, failures }: Outcome): number {
  for (const failure of failures) process.stdout.write(`\nfailed: ${failure}\n`)
  for (const name of notRun) process.stdout.write(`skipped or todo, which counts as a failure: ${name}\n`)
  for (const path of withoutTest) process.stdout.write(`contains no test that passed: ${relative(ROOT, path)}\n`)
  process.stdout.write(`\ntotal: ${passed} passed, ${failed} failed, ${notRun.length} skipped\n`)
  return passed > 0 && failed === 0 && notRun.length === 0 && withoutTest.size === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`npm test: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
