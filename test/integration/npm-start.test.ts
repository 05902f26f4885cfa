import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { freePort } from '../../tools/processes/free-port.ts'
import { findCommand } from '../../tools/servers/debian-packages.ts'
import { ensureOldNode } from '../../tools/servers/install-servers.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('A fresh clone with Node 18 is refused in one line, with exit code 1, before anything is installed', async (t) => {
  const folder = await emptyFolder(t)
  const names = ['package.json', 'package-lock.json', '.npmrc', 'scripts', 'src']
  for (const name of names) await cp(join(ROOT, name), join(folder, name), { recursive: true })
  const oldNode = await ensureOldNode()
  const env = { ...process.env, PATH: `${oldNode}${delimiter}/usr/bin${delimiter}/bin` }
  for (const script of ['start', 'test']) {
    const child = spawn('npm', [script], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
    const [ending, said] = await Promise.all([once(child, 'close'), text(child.stderr)])
    assert.deepEqual(ending, [1, null])
    assert.match(said, /^darkroom: Node 20 or newer is required, and this is 18\.20\.8: install .+\n$/)
    assert.deepEqual(await readdir(folder), names.toSorted())
  }
})

test('The link to the locked Node is restored where npm 10 has removed it, and is used', async (t) => {
  const folder = await emptyFolder(t)
  for (const name of ['package.json', 'package-lock.json', 'scripts']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }
  const locked = `node-linux-${process.arch}`
  await mkdir(join(folder, 'node_modules/.bin'), { recursive: true })
  await cp(join(ROOT, 'node_modules/.package-lock.json'), join(folder, 'node_modules/.package-lock.json'))
  await symlink(join(ROOT, 'node_modules', locked), join(folder, 'node_modules', locked))
  const script = join(folder, 'scripts/install-missing.js')
  const check = () => spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
  assert.deepEqual([check().status, check().stdout], [1, 'node_modules/.bin/node\n'])
  assert.equal(spawnSync(process.execPath, [script]).status, 0)
  assert.equal(check().status, 0)
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(await readFile(join(ROOT, 'node_modules', locked, 'package.json'), 'utf8')))
  const linked = spawnSync(join(folder, 'node_modules/.bin/node'), ['--version'], { encoding: 'utf8' })
  assert.equal(linked.stdout, `v${version}\n`)
})

/** What npm prints of its own is not ours to compare. */
const NPMS = {
  'this machine’s npm': async () => (await findCommand('npm')) ?? 'npm',
  'npm 10': async () => join(await ensureOldNode(), 'npm'),
}
for (const [name, npm] of Object.entries(NPMS)) {
  test(`SIGTERM to ${name} ends the node, with its exit code`, async (t) => {
    const { child, output } = await startByNpm(t, await npm())
    child.kill('SIGTERM')
    await endsOrderly(child, output)
  })

  // A terminal sends SIGINT to each process in the foreground, and npm passes on its own.
  test(`Ctrl-C lets a node that ${name} has started finish what it has begun`, async (t) => {
    const { child, output } = await startByNpm(t, await npm())
    process.kill(-pidOf(child), 'SIGINT')
    await endsOrderly(child, output)
  })
}

test('A second signal, later, ends the node at once', async (t) => {
  const { child, output, untilSaid } = await startByNpm(t, 'npm', { DRAIN_SECONDS: '100' })
  child.kill('SIGTERM')
  await untilSaid('draining')
  const again = setInterval(() => child.kill('SIGTERM'), 200)
  t.after(() => clearInterval(again))
  assert.deepEqual(await once(child, 'exit'), [1, null])
  assert.doesNotMatch(await output, /"msg":"stopped"/)
})

async function endsOrderly(child: ChildProcess, output: Promise<string>): Promise<void> {
  assert.deepEqual(await once(child, 'exit'), [0, null])
  // Complete only when each process that could write to it has ended.
  assert.match(await output, /"msg":"draining"[^]*"msg":"stopped"/)
}

interface StartedByNpm {
  readonly child: ChildProcess
  readonly output: Promise<string>
  untilSaid(message: string): Promise<void>
}

/** `npm start` in this repository, in a process group of its own, until the test ends. Resolves when the node listens. */
async function startByNpm(
  t: TestContext,
  npm: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<StartedByNpm> {
  const folder = await emptyFolder(t)
  const env = {
    ...process.env,
    STORE: `file:${folder}/data`,
    CACHE_DIR: join(folder, 'cache'),
    PORT: String(await freePort()),
    DRAIN_SECONDS: '1',
    ...settings,
  }
  const child = spawn(npm, ['start'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const pid = pidOf(child)
  t.after(() => {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  })
  let said = ''
  let hasEnded = false
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    child.emit('said')
  })
  const output = once(child.stdout, 'end').then(() => {
    hasEnded = true
    return said
  })
  const untilSaid = async (message: string): Promise<void> => {
    while (!said.includes(`"msg":"${message}"`)) {
      assert.ok(!hasEnded, `It ended without "${message}": ${said}`)
      await Promise.race([once(child, 'said'), output])
    }
  }
  await untilSaid('listening')
  return { child, output, untilSaid }
}

function pidOf({ pid }: ChildProcess): number {
  assert.ok(pid !== undefined)
  return pid
}

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-npm-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
