import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { prepareCacheDir, probeAccessTimes } from '../../src/adapters/cache/cache-folder.ts'
import { createDiskCache } from '../../src/adapters/cache/disk-cache.ts'
import { createCacheSweeper } from '../../src/adapters/sweep/cache-sweep.ts'
import { recordReads, walk } from '../../src/adapters/sweep/cache-sweep-folder.ts'
import { takeSweepLock } from '../../src/adapters/sweep/cache-sweep-lock.ts'
import { runSweep, type SweepTask } from '../../src/adapters/sweep/cache-sweep-passes.ts'
import { originalFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Files made by a test are new, and a sweep spares what is: so it is told a later time. */
const LATER_MS = Date.now() + HOUR_MS / 4
const ID = '3f2a'.padEnd(40, '0')
const OTHER_ID = '3f2b'.padEnd(40, '0')
const NOBODY = 65_534
const ROOMY = { maxIdleDays: 30, maxBytes: 2 ** 40, minFreePercent: 0 }
const UNWATCHED = { isStopped: () => false, report: () => {} }

async function makeCache(t: TestContext): Promise<string> {
  const cacheDir = mkdtempSync(join(tmpdir(), 'darkroom-sweep-'))
  t.after(() => rmSync(cacheDir, { recursive: true, force: true }))
  await prepareCacheDir(cacheDir)
  return cacheDir
}

/** @returns The path of a new file of 8 KiB that was last read so many days before the sweep. */
function put(path: string, idleDays = 0): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, Buffer.alloc(8192))
  lutimesSync(path, new Date(LATER_MS - idleDays * DAY_MS), new Date(2020, 0))
  return path
}

function rendition(cacheDir: string, file: string, id = ID): string {
  return join(cacheDir, 'renditions', renditionFolder(id), file)
}

function sweep(cacheDir: string, task: Partial<SweepTask> = {}) {
  const standard = { cacheDir, settings: ROOMY, nowMs: LATER_MS, all: false, dryRun: false }
  return runSweep({ ...standard, ...task }, UNWATCHED)
}

function listing(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted()
}

test('files idle for too long go, with the folders that they leave empty; the others stay', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 31)
  const kept = put(rendition(cacheDir, '200w.webp', OTHER_ID), 29)
  put(rendition(cacheDir, '400w.webp', OTHER_ID), 31)
  put(join(cacheDir, 'originals', originalFile(ID)), 31)
  const report = sweep(cacheDir)
  const { reasons, scannedFiles, removedFiles, failed, bytesBefore, bytesAfter } = report
  assert.deepEqual(
    { reasons, scannedFiles, removedFiles, failed },
    { reasons: ['idle'], scannedFiles: 4, removedFiles: 3, failed: 0 },
  )
  assert.deepEqual([bytesBefore, bytesAfter], [4 * 8192, 8192])
  assert.deepEqual(listing(join(cacheDir, 'renditions')).at(-1), kept.slice(join(cacheDir, 'renditions/').length))
  assert.deepEqual(listing(join(cacheDir, 'originals')), ['image'])
  assert.equal(readdirSync(join(cacheDir, 'renditions/image/3f')).join(), '2b')
})

test('over its budget the cache goes down to 97 % of it, oldest access first, whatever kind it is', async (t) => {
  const cacheDir = await makeCache(t)
  for (let day = 1; day <= 20; day += 1) put(rendition(cacheDir, `${day}w.webp`), day)
  const original = put(join(cacheDir, 'originals', originalFile(ID)), 19.5)
  const report = sweep(cacheDir, { settings: { ...ROOMY, maxBytes: 20 * 8192 } })
  assert.deepEqual([report.reasons, report.removedFiles, report.bytesAfter], [['max_bytes'], 2, 19 * 8192])
  assert.deepEqual(
    [20, 19, 18].map((day) => lstatSync(rendition(cacheDir, `${day}w.webp`), { throwIfNoEntry: false }) !== undefined),
    [false, true, true],
  )
  assert.equal(lstatSync(original, { throwIfNoEntry: false }), undefined)
})

/** Reads for some ticks of the kernel's clock. @returns whether that has renewed the access time. */
function readRenews(path: string): boolean {
  const before = lstatSync(path).atimeMs
  for (const began = performance.now(); performance.now() - began < 30; ) readFileSync(path)
  return lstatSync(path).atimeMs > before
}

test('a file that is marked renews its access time at the next read, which the kernel else notes once a day', async (t) => {
  const { path: folder } = await mountSmallDisk(t, 1)
  const path = join(folder, 'picture')
  writeFileSync(path, 'picture')
  lutimesSync(path, new Date(Date.now() - 1000), new Date(2020, 0))
  assert.equal(readRenews(path), true, 'the first read')
  assert.equal(readRenews(path), false, 'a later one')
  recordReads(path, lstatSync(path), 0)
  assert.equal(readRenews(path), true, 'one after the mark')
  assert.equal(readRenews(path), false, 'and the next')
  assert.equal(lstatSync(path).mtimeMs, new Date(2020, 0).getTime())

  // Something else has its name by now.
  const other = join(folder, 'other')
  writeFileSync(other, 'another')
  const { ctimeNs } = lstatSync(other, { bigint: true })
  recordReads(other, lstatSync(path), 1)
  assert.equal(lstatSync(other, { bigint: true }).ctimeNs, ctimeNs)

  // A file of somebody else's.
  const stats = lstatSync(path)
  process.seteuid?.(NOBODY)
  try {
    recordReads(path, stats, 1)
  } finally {
    process.seteuid?.(0)
  }
  assert.equal(lstatSync(path).ctimeMs, stats.ctimeMs)
})

test('what is read again is marked when room is made, and outlives what was read once', async (t) => {
  const cacheDir = await makeCache(t)
  const nowMs = Date.now() + 11 * DAY_MS
  const names = Array.from({ length: 10 }, (_, index) => `${index + 1}00w.webp`)
  const files = names.map((name) => rendition(cacheDir, name))
  for (const [index, path] of files.entries()) {
    put(path)
    // The first five are the oldest. They were read long after their publication, the others with it.
    const readMs = index < 5 ? Date.now() + DAY_MS : Date.now() + 500
    lutimesSync(path, new Date(readMs), new Date(2020, 0))
  }
  const marks = () => files.map((path) => lstatSync(path, { throwIfNoEntry: false })?.mtimeMs)
  const unmarked = new Date(2020, 0).getTime()
  const settings = { ...ROOMY, maxBytes: 9.5 * 8192 }
  sweep(cacheDir, { nowMs, settings, dryRun: true })
  sweep(cacheDir, { nowMs })
  assert.deepEqual(
    marks(),
    Array.from({ length: 10 }, () => unmarked),
  )
  assert.equal(sweep(cacheDir, { nowMs, settings }).removedFiles, 1)
  const left = marks()
  assert.deepEqual(
    left.slice(0, 5),
    Array.from({ length: 5 }, () => unmarked + 1),
  )
  assert.equal(left.slice(5).filter((mtimeMs) => mtimeMs === unmarked).length, 4)
  // A mark changes neither the access time nor the seconds that validators use.
  assert.equal(Math.floor(lstatSync(files[0] ?? '').mtimeMs / 1000), unmarked / 1000)

  sweep(cacheDir, { nowMs: nowMs + 1000, settings: { ...ROOMY, maxBytes: 5.2 * 8192 } })
  assert.deepEqual(
    marks().map((mtimeMs) => mtimeMs !== undefined),
    files.map((_, index) => index < 5),
  )
})

test('a disk with too little free is given room from the cache', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 1)
  const report = sweep(cacheDir, { settings: { ...ROOMY, minFreeBytes: 2 ** 60 } })
  assert.deepEqual([report.reasons, report.bytesAfter], [['free_bytes'], 0])
})

test('a sweep of a disk that is full to the last byte leaves nothing behind', async (t) => {
  const disk = await mountSmallDisk(t, 1)
  await prepareCacheDir(disk.path)
  const filler = await disk.fill('another-program')
  sweep(disk.path)
  assert.deepEqual(listing(join(disk.path, 'tmp')), [])
  rmSync(filler)
  sweep(disk.path)
  assert.ok(readdirSync(disk.path).includes('.sweep-clock'))
})

test('the names of one file are counted once and go together', async (t) => {
  const cacheDir = await makeCache(t)
  for (const [file, idleDays] of [
    ['400w', 40],
    ['200w', 9],
    ['100w', 8],
  ] as const) {
    const path = put(rendition(cacheDir, `${file}.webp`), idleDays)
    linkSync(path, rendition(cacheDir, `${file}.auto-webp.webp`))
  }
  const settings = { ...ROOMY, maxBytes: 1.2 * 8192 }
  const { bytesBefore, bytesAfter, removedFiles } = sweep(cacheDir, { settings })
  assert.deepEqual(
    { bytesBefore, bytesAfter, removedFiles },
    { bytesBefore: 3 * 8192, bytesAfter: 8192, removedFiles: 4 },
  )
  assert.deepEqual(readdirSync(dirname(rendition(cacheDir, ''))).length, 1)
  assert.deepEqual(readdirSync(rendition(cacheDir, '')).toSorted(), ['100w.auto-webp.webp', '100w.webp'])
})

test('what was published in the last seconds outlives idle time and budgets, but not "all"', async (t) => {
  const cacheDir = await makeCache(t)
  const nowMs = Date.now()
  lutimesSync(put(rendition(cacheDir, '400w.webp')), new Date(nowMs), new Date(2020, 0))
  assert.equal(sweep(cacheDir, { nowMs, settings: { ...ROOMY, maxBytes: 1, minFreeBytes: 2 ** 60 } }).removedFiles, 0)
  assert.equal(sweep(cacheDir, { nowMs, all: true }).removedFiles, 1)
})

test('a file from the future counts as just used', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, 'future.webp'), -900)
  put(rendition(cacheDir, 'yesterday.webp'), 1)
  const report = sweep(cacheDir, { settings: { ...ROOMY, maxBytes: 1.5 * 8192 } })
  assert.equal(report.removedFiles, 1)
  assert.deepEqual(readdirSync(rendition(cacheDir, '')), ['future.webp'])
})

test('a clock that jumps ahead removes nothing, and what nobody reads after it goes when its time has come', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 1)
  put(join(cacheDir, 'tmp/being-written'))
  sweep(cacheDir)
  const jumpedMs = LATER_MS + 400 * DAY_MS
  const jumped = sweep(cacheDir, { nowMs: jumpedMs })
  assert.deepEqual([jumped.reasons, jumped.removedFiles], [['clock_jumped'], 0])
  for (let day = 1; day <= 30; day += 1) {
    assert.equal(sweep(cacheDir, { nowMs: jumpedMs + day * DAY_MS }).reasons.length, 0)
  }
  assert.equal(sweep(cacheDir, { nowMs: jumpedMs + 30.5 * DAY_MS }).removedFiles, 1)
})

test('temporary files have an hour, also when all goes; what is hidden goes at once', async (t) => {
  const cacheDir = await makeCache(t)
  put(join(cacheDir, 'tmp/out-1'), 90)
  mkdirSync(join(cacheDir, 'tmp/spool'))
  put(join(cacheDir, 'tmp/gone-1/400w.webp'))
  put(join(cacheDir, 'tmp/gone-2'))
  const early = sweep(cacheDir, { all: true, nowMs: Date.now() + 0.9 * HOUR_MS })
  assert.deepEqual([early.removedTemporaryFiles, listing(join(cacheDir, 'tmp'))], [2, ['out-1', 'spool']])
  const late = sweep(cacheDir, { nowMs: Date.now() + 1.1 * HOUR_MS })
  assert.deepEqual([late.removedTemporaryFiles, listing(join(cacheDir, 'tmp'))], [1, []])
})

test('symbolic links in the cache are neither followed nor removed', async (t) => {
  const cacheDir = await makeCache(t)
  const elsewhere = mkdtempSync(join(tmpdir(), 'darkroom-elsewhere-'))
  t.after(() => rmSync(elsewhere, { recursive: true }))
  put(join(elsewhere, 'image/3f/2a/precious'), 900)
  const ownLink = rendition(cacheDir, 'link.webp')
  mkdirSync(dirname(ownLink), { recursive: true })
  symlinkSync(join(elsewhere, 'image/3f/2a/precious'), ownLink)
  symlinkSync(join(elsewhere, 'image'), join(cacheDir, 'renditions/image/linked'))
  for (const folder of ['originals', 'tmp']) {
    rmSync(join(cacheDir, folder), { recursive: true })
    symlinkSync(elsewhere, join(cacheDir, folder))
  }
  const { removedFiles, skipped } = sweep(cacheDir, { all: true })
  assert.deepEqual({ removedFiles, skipped }, { removedFiles: 0, skipped: 4 })
  assert.deepEqual(
    listing(elsewhere).filter((path) => path.endsWith('precious')),
    ['image/3f/2a/precious'],
  )
})

test('a walk leaves another file system alone', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 900)
  const tally = { skipped: 0, failed: 0, firstFailure: undefined }
  walk(join(cacheDir, 'renditions'), {
    device: lstatSync(cacheDir).dev + 1,
    dryRun: false,
    tally,
    goesOn: () => true,
    removesFile: () => true,
    onKept: () => {},
    onRemoved: () => {},
    removesFolder: () => true,
  })
  assert.deepEqual([tally.skipped, readdirSync(rendition(cacheDir, ''))], [1, ['400w.webp']])
})

test('a dry run changes nothing, and reports what the sweep after it does', async (t) => {
  const cacheDir = await makeCache(t)
  for (let day = 1; day <= 40; day += 1) {
    const path = put(rendition(cacheDir, `${day}w.webp`), day)
    if (day % 2 === 0) linkSync(path, rendition(cacheDir, `${day}w.auto-webp.webp`))
  }
  put(join(cacheDir, 'tmp/gone-1/400w.webp'))
  const settings = { ...ROOMY, maxBytes: 20 * 8192 }
  const before = listing(cacheDir)
  const { seconds: _, dryRun, ...foretold } = sweep(cacheDir, { settings, dryRun: true })
  assert.deepEqual(listing(cacheDir), before)
  const { seconds: __, dryRun: ___, ...done } = sweep(cacheDir, { settings })
  assert.equal(dryRun, true)
  assert.deepEqual(done, foretold)
  assert.deepEqual(done.reasons, ['idle', 'max_bytes'])
})

test('a folder that is no cache is refused', async (t) => {
  const cacheDir = await makeCache(t)
  const marker = join(cacheDir, '.darkroom-cache')
  const refusal = { name: 'SweepRefused', reason: 'not_a_cache' }
  assert.throws(() => sweep('/'), refusal)
  assert.throws(() => sweep(join(cacheDir, 'none')), refusal)
  assert.throws(() => sweep(marker), refusal)
  writeFileSync(marker, 'something else')
  assert.throws(() => sweep(cacheDir), refusal)
  rmSync(marker)
  assert.throws(() => sweep(cacheDir), refusal)
  symlinkSync(put(join(cacheDir, 'copy')), marker)
  writeFileSync(join(cacheDir, 'copy'), 'darkroom-cache 1\n')
  assert.throws(() => sweep(cacheDir), refusal)
})

test('one sweep at a time: while the lock is held another one is refused', async (t) => {
  const cacheDir = await makeCache(t)
  const lock = takeSweepLock(cacheDir)
  assert.throws(() => sweep(cacheDir), { name: 'SweepRefused', reason: 'locked' })
  await assert.rejects(createCacheSweeper({ cacheDir, settings: ROOMY }).sweep(), { reason: 'locked' })
  lock.release()
  assert.equal(sweep(cacheDir).failed, 0)
  assert.deepEqual(listing(cacheDir).includes('.sweep.lock'), false)
})

test('the lock of a process that was killed is nobody’s', async (t) => {
  const cacheDir = await makeCache(t)
  const lockModule = new URL('../../src/adapters/sweep/cache-sweep-lock.ts', import.meta.url).href
  const code = `(await import('${lockModule}')).takeSweepLock(process.argv[1]); console.log('held'); setInterval(() => {}, 1e6)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, cacheDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.throws(() => sweep(cacheDir), { reason: 'locked', message: new RegExp(`process ${child.pid}\\b`) })
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(sweep(cacheDir).failed, 0)
})

test('the lock of another container holds until it has not been renewed for five minutes', async (t) => {
  const cacheDir = await makeCache(t)
  const path = join(cacheDir, '.sweep.lock')
  symlinkSync('1:100:4026530000:00000000', path)
  assert.throws(() => sweep(cacheDir), { reason: 'locked' })
  assert.equal(readlinkSync(path), '1:100:4026530000:00000000')
  const stale = new Date(Date.now() - 6 * 60_000)
  lutimesSync(path, stale, stale)
  assert.equal(sweep(cacheDir).failed, 0)
  assert.deepEqual(
    readdirSync(cacheDir).filter((name) => name.startsWith('.sweep.lock')),
    [],
  )
})

test('the node’s sweeper sweeps in a thread, once at a time', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 31)
  const sweeper = createCacheSweeper({ cacheDir, settings: ROOMY, now: () => LATER_MS })
  const [first, second] = await Promise.all([sweeper.sweep(), sweeper.sweep()])
  assert.equal(first, second)
  assert.equal(first.removedFiles, 1)
  assert.equal(sweeper.progress(), undefined)
  assert.equal((await sweeper.sweep()).removedFiles, 0)
  await sweeper.stop()
})

test('a sweep that is stopped ends early, reports so and leaves no lock', async (t) => {
  const cacheDir = await makeCache(t)
  put(rendition(cacheDir, '400w.webp'), 31)
  const sweeper = createCacheSweeper({ cacheDir, settings: ROOMY, now: () => LATER_MS })
  const report = sweeper.sweep()
  await sweeper.stop()
  assert.deepEqual([(await report).stopped, (await report).removedFiles], [true, 0])
  assert.equal(readdirSync(cacheDir).includes('.sweep.lock'), false)
  assert.equal((await sweeper.sweep()).removedFiles, 1)
})

test('publishing succeeds while everything is swept away under it', async (t) => {
  const cacheDir = await makeCache(t)
  const troubles: unknown[] = []
  const cache = createDiskCache({
    cacheDir,
    mtimeSeconds: 1,
    onTrouble: (error) => troubles.push(error),
    onWrite: () => {},
  })
  const sweeper = createCacheSweeper({ cacheDir, settings: ROOMY, all: true })
  const published = new AbortController()
  async function sweepOn(signal: AbortSignal): Promise<number> {
    let removed = 0
    while (!signal.aborted) removed += (await sweeper.sweep()).removedFiles
    return removed
  }
  const swept = sweepOn(published.signal)
  const widths = Array.from({ length: 300 }, (_, index) => index + 1)
  const outcomes = await Promise.all(widths.map((width) => cache.publish(ID, `${width}w.webp`, Buffer.from('picture'))))
  published.abort()
  const removed = (await swept) + (await sweeper.sweep()).removedFiles
  assert.deepEqual([troubles, outcomes.every(Boolean), removed], [[], true, widths.length])
  assert.deepEqual(listing(join(cacheDir, 'renditions')), ['image'])
})

test('the probe says what the mount does with access times', async (t) => {
  const cacheDir = await makeCache(t)
  assert.equal(await probeAccessTimes(cacheDir), mountOptions(cacheDir).includes('noatime') ? 'manual' : 'kernel')
  assert.deepEqual(readdirSync(join(cacheDir, 'tmp')), [])
})

test('where the probe cannot write it says that the node has to touch files itself', async (t) => {
  const cacheDir = await makeCache(t)
  rmSync(join(cacheDir, 'tmp'), { recursive: true })
  assert.equal(await probeAccessTimes(cacheDir), 'manual')
})

/** Options of the mount that holds the path; of several on one point the last is on top. */
function mountOptions(path: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const holding = mounts.filter(([, point = '']) => path.startsWith(point === '/' ? point : `${point}/`))
  const [, , , options = ''] = holding.toSorted(([, a = ''], [, b = '']) => a.length - b.length).at(-1) ?? []
  return options.split(',')
}
