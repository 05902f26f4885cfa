import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runCommand } from '../../tools/processes/process.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { assertFound, DOCTOR, doctorReport, runDoctor } from '../support/doctor.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const LOCAL = ['--local', '--nginx-user=www-data'] as const

/** A folder that everybody may enter, and settings that keep store and cache in it. */
async function place(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-doctor-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const cache = join(folder, 'cache')
  await mkdir(cache)
  return { folder, cache, env: { STORE: `file:${folder}/data`, CACHE_DIR: cache } }
}

test('--local finds nothing wrong with a fresh installation, creates no folder and is quiet on request', async (t) => {
  const { folder, env } = await place(t)
  const first = { ...env, CACHE_DIR: join(folder, 'first/cache') }
  const { failures, warnings, seconds } = await doctorReport(first, LOCAL)
  assert.deepEqual([failures, warnings], [0, 0])
  t.diagnostic(`doctor --local: ${seconds} s`)
  assert.deepEqual(await readdir(folder), ['cache'])
  assert.deepEqual(await runDoctor(first, ['--quiet', ...LOCAL]), { code: 0, stdout: '', stderr: '' })
})

test('Unknown options are told together with exit code 2', async () => {
  const { code, stdout, stderr } = await runDoctor({}, ['--frob', '--local=yes', '--url=nowhere', 'word'])
  assert.deepEqual([code, stdout], [2, ''])
  for (const text of ['--frob: unknown option', '--local: takes no value', '--url: "nowhere"', 'word: unexpected']) {
    assert.ok(stderr.includes(text), stderr)
  }
  assert.match((await runDoctor({}, ['--local', '--url=http://127.0.0.1'])).stderr, /--url: excludes --local/)
})

test('A package that is not installed is found, although the doctor cannot load it', async (t) => {
  const { folder, env } = await place(t)
  const root = join(folder, 'darkroom')
  await mkdir(join(root, 'node_modules'), { recursive: true })
  for (const name of ['scripts', 'src', 'package.json', 'package-lock.json']) await copy(name, root)
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name !== 'zod' && name !== '.package-lock.json')
      await symlink(join(ROOT, 'node_modules', name), join(root, 'node_modules', name))
  }
  const installed = await readFile(join(ROOT, 'node_modules/.package-lock.json'), 'utf8')
  await writeFile(join(root, 'node_modules/.package-lock.json'), installed.replace('"node_modules/zod"', '"gone"'))
  assertFound(await doctorReport(env, LOCAL, [join(root, 'scripts/doctor')]), {
    check: 'packages',
    status: 'failure',
    message: /not installed: zod \d/,
    fix: /NODE_ENV=production node scripts\/install-missing\.js/,
  })
})

async function copy(name: string, folder: string): Promise<void> {
  await runCommand('cp', ['--recursive', join(ROOT, name), folder])
}

test('All mistakes in the settings are found, each with its setting', async (t) => {
  const { env } = await place(t)
  const report = await doctorReport({ ...env, UPLOAD_TOKEN: 'x', PORT: 'http' }, LOCAL)
  const fix = (setting: string) => new RegExp(`Correct ${setting} .*docs/settings\\.md`)
  const expected = { check: 'settings', status: 'failure' } as const
  assertFound(report, { ...expected, message: /^UPLOAD_TOKEN: unknown .*UPLOAD_TOKENS/, fix: fix('UPLOAD_TOKEN') })
  assertFound(report, { ...expected, message: /^PORT: should be a whole number/, fix: fix('PORT') })
})

test('A mistake in BUCKETS_FILE is found', async (t) => {
  const { folder, env } = await place(t)
  const BUCKETS_FILE = join(folder, 'buckets.yaml')
  await writeFile(BUCKETS_FILE, 'buckets: { photos: { endpoint: nowhere } }')
  assertFound(await doctorReport({ ...env, BUCKETS_FILE }, LOCAL), {
    check: 'settings',
    status: 'failure',
    message: /^BUCKETS_FILE: buckets\.photos\.endpoint: should be a URL/,
    fix: /docs\/buckets\.md/,
  })
})

test('A cache and a store on a read-only disk are found', async (t) => {
  const disk = await mountSmallDisk(t, 1)
  await disk.remount('ro')
  const env = { STORE: `file:${disk.path}`, CACHE_DIR: disk.path }
  const report = await doctorReport(env, LOCAL)
  const expected = { status: 'failure', message: /cannot be used: .*EROFS/, fix: /remount,rw/ } as const
  assertFound(report, { check: 'cache folder', ...expected })
  assertFound(report, { check: 'store', ...expected })
})

test('A full disk is found', async (t) => {
  const { env } = await place(t)
  const disk = await mountSmallDisk(t, 1)
  await disk.fill('other')
  assertFound(await doctorReport({ ...env, CACHE_DIR: disk.path }, LOCAL), {
    check: 'disk',
    status: 'failure',
    message: /CACHE_DIR .* 0 bytes .* it is full/,
    fix: /Free space.*CACHE_MAX_BYTES/,
  })
})

test('A disk without inodes is found', async (t) => {
  const { env } = await place(t)
  const disk = await mountSmallDisk(t, 1, 64)
  await mkdir(join(disk.path, 'cache'))
  await disk.fillInodes('other')
  assertFound(await doctorReport({ ...env, CACHE_DIR: join(disk.path, 'cache') }, LOCAL), {
    check: 'disk',
    status: 'failure',
    message: /CACHE_DIR .* 0 % of its inodes free: it is full/,
    fix: /Free space/,
  })
})

test('A mount without access times is found', async (t) => {
  const { env } = await place(t)
  const disk = await mountSmallDisk(t, 1)
  await runCommand('mount', ['-o', 'remount,noatime', disk.path])
  const report = await doctorReport({ ...env, CACHE_DIR: disk.path }, LOCAL)
  assertFound(report, { check: 'access times', status: 'warning', message: /noatime/, fix: /remount,atime,relatime/ })
})

test('A cache that the nginx workers cannot enter is found', async (t) => {
  const { cache, env } = await place(t)
  await chmod(cache, 0o700)
  const report = await doctorReport({ ...env, ACCEL_PREFIX: '/_renditions/' }, LOCAL)
  const expected = { check: 'cache permissions', status: 'warning' } as const
  assertFound(report, {
    ...expected,
    message: new RegExp(`www-data\\) cannot enter ${cache} \\(mode 0700`),
    fix: /chgrp 33 /,
  })
  assert.equal(report.failures, 0)
})

test('A low limit of open files is found', async (t) => {
  const { env } = await place(t)
  const limited = ['/bin/sh', '-c', 'ulimit -n 512 && exec "$0" "$@"', DOCTOR]
  const report = await doctorReport(env, LOCAL, limited)
  assertFound(report, { check: 'open files', status: 'failure', message: /only 512 files/, fix: /LimitNOFILE=65536/ })
  const { code, stdout } = await runDoctor(env, ['--quiet', ...LOCAL], limited)
  assert.equal(code, 1)
  assert.match(
    stdout,
    /^failure {2}open files: .*\.\n {9}fix: Set LimitNOFILE.*\.\ndoctor: 1 failure, 0 warnings, in [\d.]+ s\n$/,
  )
})
