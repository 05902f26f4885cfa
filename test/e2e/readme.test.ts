import assert from 'node:assert/strict'
import { chmod, copyFile, cp, mkdir, readFile, stat, symlink } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { docCommands } from '../../tools/docs/doc-commands.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { commandOutput, createServerFolder, runCommand, startServer } from '../../tools/processes/process.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { newStore, startNginxFor, startNodeFor, stopAfter, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { startForeignProxy } from '../support/foreign-proxy.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** Where the commands that npm runs are not found before those of the machine. */
const PATH = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter)

interface Started {
  readonly folder: string
  readonly port: number
  readonly url: string
}

/** Runs commands of README.md that start a node, in a clone whose dependencies are installed. Ends with the test. */
async function startByCommands(
  t: TestContext,
  commands: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Started> {
  const folder = await createServerFolder('clone')
  await chmod(folder, 0o755)
  for (const name of ['package.json', 'package-lock.json', '.npmrc', 'scripts', 'src']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await startServer({
    name: 'clone',
    command: 'bash',
    args: ['-e', '-c', commands],
    folder,
    env: { PATH, HOME: folder, PORT: String(port), DRAIN_SECONDS: '0', ...env },
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
    readyTimeoutMs: 60_000,
  })
  stopAfter(t, () => server.stop())
  return { folder, port, url }
}

test('The two commands of README.md start a node and upload the first picture, and a stranger behind a foreign proxy is refused', async (t) => {
  const [start = '', first = ''] = await docCommands('README.md', 'Quick start')
  const { folder, port, url } = await startByCommands(t, start.replace(/^npm test.*\n/m, ''))
  await copyFile(join(ROOT, 'test/fixtures/mountains.jpg'), join(folder, 'photo.jpg'))
  const command = first.replace('http://127.0.0.1:8080', url)
  assert.notEqual(command, first)
  const answer = jsonFields(await commandOutput('sh', ['-c', `cd ${folder}\n${command}`]))
  assert.deepEqual([answer['width'], answer['format']], [1200, 'jpeg'])
  const [recipe = ''] = await docCommands('README.md', 'Five recipes')
  const program = recipe.replace('data/upload-token', `${folder}/data/upload-token`)
  const html = await commandOutput('sh', ['-c', `cd ${ROOT}\nexport DARKROOM_URL=${url}\n${program}`])
  assert.match(html ?? '', new RegExp(`^<img src="/image/${String(answer['id'])}/.*srcset=`))
  const proxied = await startForeignProxy(t, port)
  assert.equal((await upload(proxied, await fixture('fig-alpha.png'), 'image/png', '')).status, 401)
  const id = String(answer['id'])
  assert.equal((await rawRequest(proxied, `/images/${id}/original`)).status, 401)
  assert.equal((await rawRequest(proxied, `/images/${id}`, { method: 'DELETE' })).status, 401)
  assert.equal((await rawRequest(proxied, `/image/${id}/400w/x.webp`)).status, 200)
})

test('The user, the group and the umask of the unit make a cache that nginx reads as www-data, and no originals', async (t) => {
  assertRoot()
  const unit = await readFile(join(ROOT, 'packaging/systemd/darkroom.service'), 'utf8')
  const setting = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(unit)?.[1] ?? ''
  const outer = await openFolder(t)
  // As systemd makes them, for another user than root.
  const owner = ['--owner=nobody', `--group=${setting('Group')}`]
  const cacheDir = join(outer, 'cache')
  const store = join(outer, 'store')
  await runCommand('install', ['--directory', ...owner, `--mode=${setting('CacheDirectoryMode')}`, cacheDir])
  await runCommand('install', ['--directory', ...owner, `--mode=${setting('StateDirectoryMode')}`, store])
  const asUnit = ['setpriv', '--reuid=nobody', `--regid=${setting('Group')}`, '--clear-groups']
  const node = await startNodeFor(t, {
    env: { ACCEL_PREFIX: '/_renditions/', CACHE_DIR: cacheDir, STORE: `file:${store}` },
    through: [...asUnit, 'sh', '-c', `umask ${setting('UMask')}; exec "$@"`, 'sh'],
  })
  await assertReadByNginx(t, { port: node.port, cacheDir, token: TOKEN })
  const stored = `ls ${store} 2>&1 || ls ${cacheDir}/renditions`
  const asNginx = ['--reuid=www-data', '--regid=www-data', '--clear-groups', 'sh', '-c', stored]
  assert.match((await commandOutput('setpriv', asNginx)) ?? '', /Permission denied\nimage$/)
})

test('README.md’s production commands keep the token, and make a cache that nginx reads as www-data', async (t) => {
  assertRoot()
  const { settings, env } = await newStore()
  const outer = await openFolder(t)
  const cacheDir = join(outer, 'cache')
  const home = join(outer, 'home')
  await mkdir(home, { mode: 0o700 })
  const places = {
    '/var/cache/darkroom': cacheDir,
    's3://photos': env['STORE'] ?? '',
    'https://s3.example.net': settings.endpoint ?? '',
    'AWS_ACCESS_KEY_ID=…': `AWS_ACCESS_KEY_ID=${env['AWS_ACCESS_KEY_ID']}`,
    'AWS_SECRET_ACCESS_KEY=…': `AWS_SECRET_ACCESS_KEY=${env['AWS_SECRET_ACCESS_KEY']}`,
  }
  let commands = (await docCommands('README.md', 'Production setup')).join('\n')
  for (const [written, here] of Object.entries(places)) {
    assert.ok(commands.includes(written), written)
    commands = commands.replaceAll(written, here)
  }
  // The test is root, starts an nginx of its own, and comes from a shell that hides everything.
  const before = 'sudo() { "$@"; }\nnginx() { :; }\numask 077\n'
  const { port } = await startByCommands(t, `${before}${commands}`, { HOME: home })

  const tokenFile = join(home, 'darkroom-token')
  assert.equal((await stat(tokenFile)).mode & 0o777, 0o600)
  const token = (await readFile(tokenFile, 'utf8')).trim()
  await assertReadByNginx(t, { port, cacheDir, token })
})

interface NodeBehindNginx {
  readonly port: number
  readonly cacheDir: string
  readonly token: string
}

/** Fails unless nginx, run by its user, sends by itself what the node has put into the cache. */
async function assertReadByNginx(t: TestContext, { port, cacheDir, token }: NodeBehindNginx): Promise<void> {
  const { origin } = await startNginxFor(t, { port, cacheDir }, { user: 'www-data' })
  const uploaded = await upload(origin, await fixture('mountains.jpg'), 'image/jpeg', token)
  assert.equal(uploaded.status, 201)
  const id = String(jsonFields(await uploaded.text())['id'])
  const path = `/image/${id}/400w/x.webp`
  assert.equal((await rawRequest(origin, path)).status, 200)
  const hit = await rawRequest(origin, path)
  assert.equal(hit.headers['server-timing'], 'cache;desc="nginx"')
  assert.ok(hit.body.length > 1000)
  assert.deepEqual(jsonFields((await rawRequest(origin, '/readyz')).body), { status: 'ready', reasons: [] })
  const rendition = await stat(join(cacheDir, 'renditions', renditionFolder(id), '400w.webp'))
  const group = await commandOutput('id', ['--group', 'www-data'])
  assert.deepEqual([rendition.mode & 0o777, String(rendition.gid)], [0o640, group])
}

function assertRoot(): void {
  if (process.getuid?.() === 0) return
  throw new Error('This test runs nginx as www-data, which needs root: run it with sudo')
}

/** A folder that every user may enter, until the test ends. */
async function openFolder(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  return folder
}
