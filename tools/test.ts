// The body of `npm test`: starts real servers and runs the tests against them.
import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec as SpecReporter } from 'node:test/reporters'
import { inspect, parseArgs } from 'node:util'
import { runQuietly } from './processes/process.ts'
import { S3_KINDS, type S3Kind } from './s3/s3-server.ts'
import { isS3Kind, shareS3Server, startS3Server } from './s3/start-s3-server.ts'
import { ensureChromium, ensureNginx } from './servers/install-servers.ts'

const USAGE = `Usage: npm test [-- [--s3=<server>] [file or pattern ...]]

Starts real servers (S3, nginx, Chromium) and runs the tests against them. A skipped test is a failure.

  file or pattern  test files to run, such as test/unit/domain/spec/spec.test.ts or 'test/e2e/*.test.ts'; default: all
                   tests, or with minio and ceph, the tests of the S3 store and those of test/minio or test/ceph
  --s3=<server>    S3 server: seaweedfs (default), minio or ceph
  --help           print this help

Exit code: 0 all tests passed; 1 otherwise.
`

const ROOT = resolve(import.meta.dirname, '..')
const ALL_TESTS = ['test/{unit,contract,golden,integration,e2e}/**/*.test.ts']
const STORE_TESTS = ['test/contract/object-store*.test.ts', 'test/integration/s3-*.test.ts']
/** Tests of features that only these servers have. */
const OWN_TESTS = { seaweedfs: [], minio: ['test/minio/*.test.ts'], ceph: ['test/ceph/*.test.ts'] } as const

/** For one test. An open handle keeps its file from ending; only the limit of the run ends it. */
const TEST_TIMEOUT_MS = 120_000
const RUN_TIMEOUT_MS = 30 * 60_000

/** The crashes take all of the CPU for a minute; beside them comes what waits for deadlines nearly as long. */
const FIRST = [
  'test/e2e/crash.test.ts',
  'test/e2e/slow-client.test.ts',
  'test/integration/s3-faults.test.ts',
  'test/integration/bombs.test.ts',
]
/** Tests with bounds on how long something may take, or of what happens at the limits of a node. */
const BOUNDED =
  /^test\/(?:e2e\/(?:cache-budget|coalescing|deletion|fault-|lifecycle|renderer-crash)|integration\/(?:cache-sweep|remote-|renderer-pool|s3-bucket))/
/** What starts servers of its own, each with several processes. */
const ALONE = /^test\/(?:minio|ceph)/

/** Two files at a time, on a machine of two cores. Alone, what has bounds would leave it idle for half of its time. */
const ROUNDS = [
  { isIn: (file: string) => !BOUNDED.test(file) && !ALONE.test(file), concurrency: 2 },
  { isIn: (file: string) => BOUNDED.test(file), concurrency: 2 },
  { isIn: (file: string) => ALONE.test(file), concurrency: 1 },
] as const

interface Outcome {
  passed: number
  failed: number
  /** Names of tests that were skipped or are still to do. */
  readonly notRun: string[]
  /** Test files that ran no test at all: the runner itself counts such a file as passed. */
  readonly empty: string[]
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

  if (files.some((file) => /^test\/(e2e|integration\/nginx)/.test(file))) await ensureNginx()
  if (files.some((file) => folderOf(file) === 'e2e')) await ensureChromium()
  // glibc keeps an arena of memory per thread, and libvips has many threads; a node is run with the same.
  process.env.MALLOC_ARENA_MAX = '2'
  const compiled = await mkdtemp(join(tmpdir(), 'darkroom-compiled-'))
  process.env.NODE_COMPILE_CACHE = compiled
  try {
    return report(
      files.every((file) => folderOf(file) === 'unit') ? await runRounds(files) : await runWithServer(kind, files),
    )
  } finally {
    await rm(compiled, { recursive: true, force: true })
  }
}

async function runWithServer(kind: S3Kind, files: readonly string[]): Promise<Outcome> {
  await compileNode()
  const server = await startS3Server(kind)
  try {
    shareS3Server(server)
    return await runRounds(files)
  } finally {
    await server.stop()
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

async function runRounds(files: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, failed: 0, notRun: [], empty: [], failures: [] }
  for (const { isIn, concurrency } of ROUNDS) {
    const ofRound = files.filter(isIn).toSorted((one, other) => turnOf(one) - turnOf(other))
    if (ofRound.length > 0) await runFiles(ofRound, concurrency, outcome)
  }
  return outcome
}

function turnOf(file: string): number {
  const turn = FIRST.indexOf(file)
  return turn === -1 ? FIRST.length : turn
}

async function runFiles(files: readonly string[], concurrency: number, outcome: Outcome): Promise<void> {
  const paths = files.map((file) => resolve(ROOT, file))
  const withoutTest = new Set(paths)
  const tests = run({
    files: paths,
    cwd: ROOT,
    concurrency,
    timeout: TEST_TIMEOUT_MS,
    signal: AbortSignal.timeout(RUN_TIMEOUT_MS),
  })
  tests.on('test:pass', ({ name, skip, todo }) => {
    if (skip !== undefined || todo !== undefined) outcome.notRun.push(name)
  })
  tests.on('test:fail', ({ name, file, line, details: { error } }) => {
    // A test around it fails with it, and knows nothing more.
    if (failureTypeOf(error) === 'subtestsFailed') return
    const where = file === undefined ? '' : `${relative(ROOT, file)}:${line} `
    outcome.failures.push(`${where}${name}\n${inspect(error.cause ?? error)}`)
  })
  tests.on('test:summary', ({ file, counts }) => {
    if (file !== undefined) {
      if (counts.tests > 0) withoutTest.delete(file)
      return
    }
    outcome.passed += counts.passed
    outcome.failed += counts.tests - counts.passed - counts.skipped - counts.todo
  })
  await pipeline(tests, new SpecReporter(), process.stdout, { end: false })
  outcome.empty.push(...[...withoutTest].map((path) => relative(ROOT, path)))
}

function failureTypeOf(error: Error): unknown {
  return 'failureType' in error ? error.failureType : undefined
}

/** Repeats the failures at the end, where a truncated log still contains them. @returns The exit code. */
function report({ passed, failed, notRun, empty, failures }: Outcome): number {
  for (const failure of failures) process.stdout.write(`\nfailed: ${failure}\n`)
  for (const name of notRun) process.stdout.write(`skipped or todo, which counts as a failure: ${name}\n`)
  for (const file of empty) process.stdout.write(`contains no test: ${file}\n`)
  process.stdout.write(`\ntotal: ${passed} passed, ${failed} failed, ${notRun.length} skipped\n`)
  return passed > 0 && failed === 0 && notRun.length === 0 && empty.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`npm test: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
