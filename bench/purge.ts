import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, lutimesSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { createCacheSweeper } from '../src/adapters/sweep/cache-sweep.ts'
import type { SweepReport } from '../src/adapters/sweep/cache-sweep-ledger.ts'
import { CACHE_FOLDERS, CACHE_MARKER, originalFile, renditionFolder } from '../src/domain/stored/cache-layout.ts'

const USAGE = `Usage: node bench/purge.ts [--files 1000000] [--rounds 3] [--dir <folder>]

Compares a sweep of a cache with find -delete under the same condition, on trees of equal content, half of whose files
are idle; and measures the time and memory of a scan without deletions. Prints a table and one line of JSON.

  --files 1000000  number of files in the cache
  --rounds 3       number of repetitions
  --dir <folder>   folder for the temporary trees; default: that of the system
  --help           print this help
`
const DAY_SECONDS = 86_400
const MAX_IDLE_DAYS = 30
const FLOORS = { ratio: 0.8, scanSeconds: 60, peakMiB: 200 } as const
/** A sweep spares what was published in the last ten minutes, as all of this was: so it is told a later time. */
const LATER_MS = 15 * 60_000

interface Measured {
  readonly seconds: number
  readonly peakMiB: number
}

function main(): void {
  const { values } = parseArgs({
    options: {
      files: { type: 'string', default: '1000000' },
      rounds: { type: 'string', default: '3' },
      dir: { type: 'string', default: tmpdir() },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return
  }
  const files = Number(values.files)
  const dir = mkdtempSync(join(values.dir, 'darkroom-bench-purge-'))
  const scans: Measured[] = []
  const purges: Measured[] = []
  const finds: Measured[] = []
  try {
    for (let round = 1; round <= Number(values.rounds); round += 1) {
      const forSweep = makeTree(join(dir, `sweep-${round}`), files)
      scans.push(sweep(forSweep, true))
      purges.push(sweep(forSweep, false))
      const left = countEntries(forSweep)
      rmSync(forSweep, { recursive: true })
      const forFind = makeTree(join(dir, `find-${round}`), files)
      finds.push(findDelete(forFind))
      assert.deepEqual(countEntries(forFind), left, 'both must leave the same tree')
      rmSync(forFind, { recursive: true })
      const [scan, purge, find] = [scans, purges, finds].map((runs) => runs.at(-1)?.seconds.toFixed(1))
      process.stderr.write(`round ${round}: look ${scan} s, remove ${purge} s, find -delete ${find} s\n`)
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  print(files, { scans, purges, finds })
}

/** A quarter of the images is idle as a whole, a quarter not at all, and of the others every second file. */
function makeTree(cacheDir: string, files: number): string {
  mkdirSync(join(cacheDir, CACHE_FOLDERS.temporary), { recursive: true })
  writeFileSync(join(cacheDir, CACHE_MARKER.name), CACHE_MARKER.content)
  const bytes = Buffer.alloc(1024, 'darkroom')
  const now = Date.now() / 1000
  const idleSince = now - 2 * MAX_IDLE_DAYS * DAY_SECONDS
  for (let image = 0; image * 5 < files; image += 1) {
    const id = createHash('sha256').update(String(image)).digest('hex').slice(0, 40)
    const folder = join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id))
    const original = join(cacheDir, CACHE_FOLDERS.originals, originalFile(id))
    mkdirSync(folder, { recursive: true })
    mkdirSync(dirname(original), { recursive: true })
    const paths = [original, join(folder, '200w.webp'), join(folder, '400w.webp'), join(folder, '800w.webp')]
    for (const [index, path] of paths.entries()) {
      writeFileSync(path, bytes)
      const isIdle = image % 4 === 0 || (image % 4 > 1 && index % 2 === image % 2)
      if (isIdle) lutimesSync(path, idleSince, now)
    }
    linkSync(join(folder, '400w.webp'), join(folder, '400w.auto-webp.webp'))
  }
  // What is still to be written would be written during the measurement.
  spawnSync('sync', { stdio: 'inherit' })
  return cacheDir
}

/** In a process of its own, start-up included: as cron runs it. */
function sweep(cacheDir: string, dryRun: boolean): Measured {
  const startedAt = performance.now()
  const child = spawnSync(process.execPath, [import.meta.filename, '--sweep', cacheDir, String(dryRun)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const seconds = (performance.now() - startedAt) / 1000
  assert.equal(child.status, 0)
  return { seconds, peakMiB: Number(child.stdout) }
}

async function sweepInChild(cacheDir: string, dryRun: boolean): Promise<void> {
  const settings = { maxIdleDays: MAX_IDLE_DAYS, maxBytes: Number.MAX_SAFE_INTEGER, minFreePercent: 0 }
  const swept: SweepReport = await createCacheSweeper({
    cacheDir,
    settings,
    dryRun,
    now: () => Date.now() + LATER_MS,
  }).sweep()
  assert.deepEqual({ reasons: swept.reasons, failed: swept.failed }, { reasons: ['idle'], failed: 0 })
  process.stdout.write(String(process.resourceUsage().maxRSS / 1024))
}

/** At the same priority as the sweep, and with the same outcome: the folders that are left empty go too. */
function findDelete(cacheDir: string): Measured {
  const trees = [join(cacheDir, CACHE_FOLDERS.renditions), join(cacheDir, CACHE_FOLDERS.originals)]
  const idle = ['-type', 'f', '!', '-newerat', `@${Math.floor(Date.now() / 1000) - MAX_IDLE_DAYS * DAY_SECONDS}`]
  const condition = ['-xdev', '-mindepth', '2', '(', ...idle, '-o', '-type', 'd', '-empty', ')']
  const startedAt = performance.now()
  const child = spawnSync('nice', ['-n', '19', 'find', ...trees, ...condition, '-delete'], { stdio: 'inherit' })
  assert.equal(child.status, 0)
  return { seconds: (performance.now() - startedAt) / 1000, peakMiB: 0 }
}

/** Files and folders of the two trees. */
function countEntries(cacheDir: string): Readonly<Record<'files' | 'folders', number>> {
  const count = { files: 0, folders: 0 }
  function visit(path: string): void {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (!entry.isDirectory()) count.files += 1
      else {
        count.folders += 1
        visit(join(path, entry.name))
      }
    }
  }
  for (const tree of [CACHE_FOLDERS.renditions, CACHE_FOLDERS.originals]) visit(join(cacheDir, tree))
  return count
}

function print(files: number, measured: Readonly<Record<'scans' | 'purges' | 'finds', readonly Measured[]>>): void {
  const scanSeconds = median(measured.scans.map((run) => run.seconds))
  const purgeSeconds = median(measured.purges.map((run) => run.seconds))
  const findSeconds = median(measured.finds.map((run) => run.seconds))
  const peakMiB = Math.max(...[...measured.scans, ...measured.purges].map((run) => run.peakMiB))
  const ratio = findSeconds / purgeSeconds
  const rows = [
    [`purge, ${files.toLocaleString('en')} files`, 'median', 'wanted'],
    ['look at all of them, s', scanSeconds.toFixed(1), `< ${FLOORS.scanSeconds}`],
    ['remove half of them, s', purgeSeconds.toFixed(1), ''],
    ['find -delete of the same half, s', findSeconds.toFixed(1), ''],
    ['rate, of that of find -delete', ratio.toFixed(2), `>= ${FLOORS.ratio}`],
    ['peak memory, MiB', peakMiB.toFixed(0), `< ${FLOORS.peakMiB}`],
  ] as const
  for (const [name, value, floor] of rows) {
    process.stdout.write(`${name.padEnd(38)}${value.padStart(10)}   ${floor}\n`)
  }
  const figures = { files, ratio, scanSeconds, purgeSeconds, findSeconds, peakMiB, floors: FLOORS, measured }
  process.stdout.write(`${JSON.stringify({ bench: 'purge', ...figures })}\n`)
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)) / 2
}

const [mode, cacheDir, dryRun] = process.argv.slice(2)
if (mode === '--sweep' && cacheDir !== undefined) await sweepInChild(cacheDir, dryRun === 'true')
else main()
