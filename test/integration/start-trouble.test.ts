import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { TOKEN } from '../../tools/requests/token.ts'
import { ensureConfinement } from '../../tools/servers/install-servers.ts'
import { startNodeFor } from '../../tools/servers/site.ts'
import { FOREIGN_ENVIRONMENTS } from '../support/foreign-environments.ts'
import { mountHungDisk } from '../support/hung-disk.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('A cache or a store that cannot be written is a mistake in the settings, with the reason', async (t) => {
  const disk = await mountSmallDisk(t, 1)
  await disk.remount('ro')
  const CASES = [
    [{ CACHE_DIR: `${disk.path}/cache` }, [], /^CACHE_DIR: EROFS: .+; it should be a folder .+ such as \/var\/cache/m],
    [{ STORE: `file:${disk.path}/store` }, [], /^STORE: EROFS: .+; it should be a folder .+ such as file:\/var\/lib/m],
    [{ CACHE_DIR: '/root/darkroom-cache' }, AS_NOBODY, /^CACHE_DIR: EACCES: /m],
    [{ CACHE_DIR: '/etc/hostname/cache' }, [], /^CACHE_DIR: ENOTDIR: /m],
    // Node's own mkdir never returns there.
    [{ CACHE_DIR: '/proc/cache/darkroom' }, [], /^CACHE_DIR: ENOENT: .+'\/proc\/cache'; /m],
    [{ STORE: 'file:/proc/store' }, [], /^STORE: ENOENT: /m],
  ] as const
  for (const [settings, through, expected] of CASES) {
    const { code, said } = await startAndEnd(t, settings, through)
    assert.match(said, expected)
    assert.equal(code, 2, said)
  }
})

test('An address that this machine does not have yet is told, and may be tried again', async (t) => {
  const { code, said } = await startAndEnd(t, { HOST: '192.0.2.1', UPLOAD_TOKENS: TOKEN })
  assert.match(said, /^Darkroom cannot start: HOST: 192\.0\.2\.1 is not an address of this machine: /m)
  assert.equal(code, 1)
})

test('A CACHE_DIR, STORE or BUCKETS_FILE whose file system never answers ends the start, with a message', async (t) => {
  const hung = await mountHungDisk(t)
  const settings = { CACHE_DIR: `${hung}/cache`, STORE: `file:${hung}/store`, BUCKETS_FILE: `${hung}/buckets.yaml` }
  await Promise.all(
    Object.entries(settings).map(async ([name, value]) => {
      const { code, said } = await startAndEnd(t, { [name]: value })
      const path = value.replace('file:', '')
      assert.match(
        said,
        new RegExp(`^Darkroom cannot start: ${name}: the file system of ${path} has not responded for`, 'm'),
      )
      assert.equal(code, 1)
    }),
  )
})

test('A node starts with all that npm, systemd, Docker, Kubernetes and AWS put into its environment', async (t) => {
  const names = Object.values(FOREIGN_ENVIRONMENTS).flat()
  const untouched = new Set(Object.keys(process.env))
  const env = Object.fromEntries(names.filter((name) => !untouched.has(name)).map((name) => [name, 'a-value']))
  // Node itself takes these at their word.
  const { NODE_OPTIONS: _, NODE_PATH: __, UV_THREADPOOL_SIZE: ___, ...rest } = env
  const node = await startNodeFor(t, { env: rest })
  assert.equal((await fetch(`${node.url}/readyz`)).status, 200)
})

test('A node that serves buckets takes their credentials from variables of any name', async (t) => {
  const file = join(await emptyFolder(t), 'buckets.yaml')
  await writeFile(file, 'buckets: { photos: { accessKeyId: $AWS_ACCESS_KEY_ID_2, secretAccessKey: "${S3_REGION_}" } }')
  const env = { AWS_ACCESS_KEY_ID_2: 'an-id', S3_REGION_: 'a-secret', BUCKETS_FILE: file }
  const node = await startNodeFor(t, { env })
  assert.equal((await fetch(`${node.url}/readyz`)).status, 200)
})

test('Misspelled settings and those without their mode end the start, all of them told at once', async (t) => {
  const { code, said } = await startAndEnd(t, { UPLOAD_TOKEN: 'x', SIZES: '400w', S3_ENDPOINT: 'minio:9000' })
  assert.match(said, /^UPLOAD_TOKEN: unknown setting\. Did you mean UPLOAD_TOKENS\?/m)
  assert.match(said, /^SIZES: has no effect without SIZE_POLICY=list/m)
  assert.match(said, /^S3_ENDPOINT: should begin with http:\/\/ or https:\/\/, such as https:/m)
  assert.equal(code, 2)
})

test('systemd finds nothing wrong with the units, and gives up what an operator has to fix', async (t) => {
  await ensureConfinement()
  const folder = await emptyFolder(t)
  const packaged = join(ROOT, 'packaging/systemd')
  const units = (await readdir(packaged)).filter((name) => /\.(?:service|timer)$/.test(name))
  for (const name of units) {
    const unit = (await readFile(join(packaged, name), 'utf8')).replaceAll('/opt/darkroom', ROOT)
    await writeFile(join(folder, name), unit)
    if (name === 'darkroom.service') assert.match(unit, /^RestartPreventExitStatus=2$/m)
  }
  assert.ok(units.includes('darkroom.service'))
  await runQuietly('systemd-analyze', ['verify', ...units.map((name) => join(folder, name))], process.env)
})

const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const

/** Runs a node that does not get as far as to serve. @returns its exit code, and all that it printed. */
async function startAndEnd(
  t: TestContext,
  settings: Readonly<Record<string, string>>,
  through: readonly string[] = [],
): Promise<{ readonly code: number | null; readonly said: string }> {
  const folder = await emptyFolder(t)
  const own = { STORE: `file:${folder}/data`, CACHE_DIR: join(folder, 'cache'), PORT: String(await freePort()) }
  const [command, ...args] = [...through, process.execPath, join(ROOT, 'src/main.ts')]
  const env = { ...process.env, DRAIN_SECONDS: '0', ...own, ...settings }
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const [, said, complaint] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  return { code: child.exitCode, said: said + complaint }
}

/** Anybody may write there. */
async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-start-'))
  await chmod(folder, 0o777)
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
