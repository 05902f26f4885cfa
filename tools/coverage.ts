// The body of `npm run coverage`: runs tests, and prints which share of src/ they run through, by Node's own coverage. Processes
// that the tests start, such as nodes and renderers, are counted too, unless they are killed.
//
//   node tools/coverage.ts [test file or pattern ...]
import { globSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { shareS3Server, startS3Server } from './s3/start-s3-server.ts'

const ROOT = resolve(import.meta.dirname, '..')
const SOURCES = 'src/**/*.ts'
/** All unit tests, and the integration tests that reach every adapter within a minute or two. */
const DEFAULT_TESTS = [
  'test/unit/**/*.test.ts',
  'test/contract/*.test.ts',
  'test/integration/{bucket-events,disk-cache,file-store,http-server,metrics,remote-source,renderer-pool,s3-bucket}.test.ts',
  'test/integration/sharp-{engine,measure,verify}.test.ts',
] as const
const CONCURRENCY = 2
const TEST_TIMEOUT_MS = 120_000

interface Counts {
  totalLineCount: number
  coveredLineCount: number
  totalBranchCount: number
  coveredBranchCount: number
  totalFunctionCount: number
  coveredFunctionCount: number
}

/** @returns the exit code. */
async function main(patterns: readonly string[]): Promise<number> {
  const files = globSync([...patterns], { cwd: ROOT }).map((file) => resolve(ROOT, file))
  if (files.length === 0) throw new Error(`No test file matches ${patterns.join(' ')}`)
  const server = await startS3Server('seaweedfs')
  try {
    shareS3Server(server)
    return await measure(files)
  } finally {
    await server.stop()
  }
}

async function measure(files: readonly string[]): Promise<number> {
  const tests = run({
    files,
    cwd: ROOT,
    concurrency: CONCURRENCY,
    timeout: TEST_TIMEOUT_MS,
    coverage: true,
    coverageIncludeGlobs: SOURCES,
  })
  let failed = 0
  tests.on('test:fail', ({ name, file, details }) => {
    failed += 1
    process.stdout.write(`failed: ${file ?? ''} ${name}\n${String(details.error.cause ?? details.error)}\n`)
  })
  tests.on('test:coverage', ({ summary }) => {
    for (const [folder, counts] of byFolder(summary.files)) process.stdout.write(row(folder, counts))
    process.stdout.write(row('all of src', summary.totals))
    const all = globSync(SOURCES, { cwd: ROOT }).length
    process.stdout.write(`${summary.files.length} of ${all} files were loaded; the others are not counted\n`)
  })
  for await (const _ of tests.resume()) continue
  return failed === 0 ? 0 : 1
}

function byFolder(files: readonly (Counts & { readonly path: string })[]): Map<string, Counts> {
  const folders = new Map<string, Counts>()
  for (const file of files.toSorted((one, other) => (one.path < other.path ? -1 : 1))) {
    const folder = relative(ROOT, file.path).split('/').slice(0, -1).join('/')
    folders.set(folder, sum(folders.get(folder), file))
  }
  return folders
}

function sum(one: Counts | undefined, other: Counts): Counts {
  return {
    totalLineCount: (one?.totalLineCount ?? 0) + other.totalLineCount,
    coveredLineCount: (one?.coveredLineCount ?? 0) + other.coveredLineCount,
    totalBranchCount: (one?.totalBranchCount ?? 0) + other.totalBranchCount,
    coveredBranchCount: (one?.coveredBranchCount ?? 0) + other.coveredBranchCount,
    totalFunctionCount: (one?.totalFunctionCount ?? 0) + other.totalFunctionCount,
    coveredFunctionCount: (one?.coveredFunctionCount ?? 0) + other.coveredFunctionCount,
  }
}

function row(name: string, counts: Counts): string {
  const share = (covered: number, total: number) =>
    `${(total === 0 ? 100 : (100 * covered) / total).toFixed(1)} %`.padStart(8)
  const lines = share(counts.coveredLineCount, counts.totalLineCount)
  const branches = share(counts.coveredBranchCount, counts.totalBranchCount)
  const functions = share(counts.coveredFunctionCount, counts.totalFunctionCount)
  return `${name.padEnd(24)} lines ${lines}  branches ${branches}  functions ${functions}\n`
}

const patterns = process.argv.slice(2)
process.exitCode = await main(patterns.length > 0 ? patterns : DEFAULT_TESTS)
