import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { prepareCacheDir } from '../../src/adapters/cache/cache-folder.ts'
import { takeSweepLock } from '../../src/adapters/sweep/cache-sweep-lock.ts'

const SCRIPT = resolve(import.meta.dirname, '../../scripts/purge-cache')

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** As cron does, with next to nothing in the environment. */
function purge(args: readonly string[], env: Record<string, string> = {}, command = SCRIPT): Promise<Run> {
  return new Promise((done) => {
    const child = execFile(command, args, { env, cwd: '/', timeout: 20_000 }, (_error, stdout, stderr) => {
      done({ code: child.exitCode ?? -1, stdout, stderr })
    })
  })
}

async function makeCache(t: TestContext): Promise<string> {
  const cacheDir = mkdtempSync(join(tmpdir(), 'darkroom-purge-'))
  t.after(() => rmSync(cacheDir, { recursive: true, force: true }))
  await prepareCacheDir(cacheDir)
  const folder = join(cacheDir, 'renditions/image/3f/2a/3f2a')
  mkdirSync(folder, { recursive: true })
  for (const width of [200, 400]) writeFileSync(join(folder, `${width}w.webp`), Buffer.alloc(8192))
  return cacheDir
}

test('--help says what there is', async () => {
  const { code, stdout, stderr } = await purge(['--help'])
  assert.deepEqual([code, stderr], [0, ''])
  for (const flag of ['--max-idle-days', '--max-bytes', '--min-free', '--all', '--dry-run', '--json', '--cache-dir']) {
    assert.ok(stdout.includes(flag), flag)
  }
})

test('all mistakes are told together, and nothing is done', async (t) => {
  const CACHE_DIR = await makeCache(t)
  const args = ['--all', '--max-idle-days=1', '--max-bytes', 'lots', '--dry-run=no', '--frob', 'x', '--min-free']
  const { code, stdout, stderr } = await purge(args, { CACHE_DIR })
  assert.deepEqual([code, stdout], [2, ''])
  const complaints = [
    '--max-idle-days: "1"',
    '--max-bytes: "lots"',
    '--dry-run: takes',
    '--frob: unknown',
    'x: unexpected',
    '--min-free: requires',
  ]
  for (const complaint of complaints) assert.ok(stderr.includes(complaint), complaint)
  assert.equal(readdirSync(join(CACHE_DIR, 'renditions/image/3f/2a/3f2a')).length, 2)
})

test('a mistake in the environment is told by the name of the variable', async (t) => {
  const CACHE_DIR = await makeCache(t)
  const { code, stderr } = await purge([], { CACHE_DIR, CACHE_MAX_IDLE_DAYS: '0', CACHE_MIN_FREE_BYTES: '5 %' })
  assert.equal(code, 2)
  assert.match(stderr, /CACHE_MAX_IDLE_DAYS: "0"/)
  assert.match(stderr, /CACHE_MIN_FREE_BYTES: "5 %"/)
})

test('one line says what would be removed, and one what was', async (t) => {
  const cacheDir = await makeCache(t)
  const dry = await purge(['--all', '--dry-run', '--cache-dir', cacheDir])
  assert.match(dry.stdout, /^purge-cache: would remove 2 of 2 files \(all\), 16 KiB of 16 KiB, in [\d.]+ s\n$/)
  const done = await purge(['--all', '--cache-dir', cacheDir])
  assert.match(done.stdout, /^purge-cache: removed 2 of 2 files \(all\), [^\n]+\n$/)
  assert.deepEqual([done.code, done.stderr], [0, ''])
  assert.deepEqual(readdirSync(join(cacheDir, 'renditions/image')), [])
})

test('--json prints the report as one line, --quiet nothing if all went well', async (t) => {
  const CACHE_DIR = await makeCache(t)
  const { stdout } = await purge(['--json', '--max-bytes', '1', '--min-free=0'], { CACHE_DIR })
  const report: unknown = JSON.parse(stdout)
  assert.ok(typeof report === 'object' && report !== null && 'scannedFiles' in report && 'removedFiles' in report)
  // Over its budget, but published just now.
  assert.deepEqual([report.scannedFiles, report.removedFiles, stdout.split('\n').length], [2, 0, 2])
  assert.deepEqual(await purge(['--quiet'], { CACHE_DIR }), { code: 0, stdout: '', stderr: '' })
})

test('it runs through a symbolic link, with an empty PATH', async (t) => {
  const CACHE_DIR = await makeCache(t)
  const bin = mkdtempSync(join(tmpdir(), 'darkroom-bin-'))
  t.after(() => rmSync(bin, { recursive: true }))
  symlinkSync(SCRIPT, join(bin, 'first'))
  symlinkSync('first', join(bin, 'second'))
  const { code, stdout } = await purge(['--dry-run'], { CACHE_DIR, PATH: '' }, join(bin, 'second'))
  assert.deepEqual([code, stdout.startsWith('purge-cache: would remove 0 of 2 files')], [0, true])
})

test('what is no cache, and a home even with a marker in it, is refused', async (t) => {
  const cacheDir = await makeCache(t)
  const home = await purge(['--all', '--cache-dir', cacheDir], { HOME: cacheDir })
  assert.deepEqual([home.code, home.stdout], [3, ''])
  assert.match(home.stderr, /cannot be the cache folder/)
  rmSync(join(cacheDir, '.darkroom-cache'))
  const unmarked = await purge(['--all', '--json', '--cache-dir', cacheDir])
  assert.equal(unmarked.code, 3)
  assert.match(unmarked.stdout, /^\{"error":"not_a_cache","message":"[^\n]+"\}\n$/)
  assert.equal(readdirSync(join(cacheDir, 'renditions/image/3f/2a/3f2a')).length, 2)
})

test('while the node sweeps it leaves the cache alone', async (t) => {
  const cacheDir = await makeCache(t)
  const lock = takeSweepLock(cacheDir)
  t.after(() => lock.release())
  const { code, stderr } = await purge(['--all', '--cache-dir', cacheDir])
  assert.equal(code, 3)
  assert.match(stderr, new RegExp(`Another sweep is running \\(process ${process.pid}\\)`))
})
