import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { commandOutput, createServerFolder, startServer } from '../../tools/processes/process.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { TOKEN } from '../../tools/requests/token.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureConfinement } from '../../tools/servers/install-servers.ts'

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const UNIT = path('packaging/systemd/darkroom.service')
const PURGE_UNIT = path('packaging/systemd/darkroom-purge.service')
const DOCTOR_UNIT = path('packaging/systemd/darkroom-doctor.service')
const INGEST_UNIT = path('packaging/systemd/darkroom-ingest.service')
const FRONT_UNIT = path('packaging/systemd/darkroom-front.service')
const PURGE_REMOTES_UNIT = path('packaging/systemd/darkroom-purge-remotes.service')

/** The settings of a unit; of one that is given several times, all, joined. */
async function settingsOf(unit: string): Promise<ReadonlyMap<string, string>> {
  const pairs = (await readFile(unit, 'utf8')).split('\n').flatMap((line) => {
    const { name, value } = /^(?<name>[A-Z]\w*)=(?<value>.*)$/.exec(line)?.groups ?? {}
    return name === undefined || value === undefined ? [] : [{ name, value }]
  })
  const settings = new Map<string, string>()
  for (const { name, value } of pairs) settings.set(name, [settings.get(name) ?? [], value].flat().join(' '))
  return settings
}

/** What is left of the calls when those that begin with `~` are taken away. */
async function allowedCalls(filter: string): Promise<readonly string[]> {
  const [kept, removed] = [new Set<string>(), new Set<string>()]
  let isRemoval = false
  for (const word of filter.split(' ')) {
    isRemoval ||= word.startsWith('~')
    for (const call of await callsOf(word.replace('~', ''))) (isRemoval ? removed : kept).add(call)
  }
  return [...kept].filter((call) => !removed.has(call))
}

async function callsOf(name: string): Promise<readonly string[]> {
  if (!name.startsWith('@')) return [name]
  const listed = (await commandOutput('systemd-analyze', ['syscall-filter', name])) ?? ''
  const members = listed
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^@?[a-z0-9_-]+$/.test(line) && line !== name)
  return (await Promise.all(members.map(callsOf))).flat()
}

/** The command line that confines what follows as the unit does. */
async function confinement(unit: string): Promise<readonly string[]> {
  const settings = await settingsOf(unit)
  const listed = await allowedCalls(settings.get('SystemCallFilter') ?? '')
  // What RestrictNamespaces adds, but for the flags of clone.
  const calls = listed.filter((call) => call !== 'unshare' && call !== 'setns')
  assert.ok(calls.length > 100, 'the lists of systemd are known')
  const families = settings.get('RestrictAddressFamilies')?.replaceAll(' ', ',') ?? ''
  return [path('test/support/confined.py'), calls.join(','), families]
}

/** Runs Python under the unit's confinement. @returns what it prints. */
async function confined(unit: string, script: string): Promise<string> {
  const python = await ensureConfinement()
  const child = spawn(python, [...(await confinement(unit)), python, '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  const said = await text(child.stdout)
  await ended
  return said.trim()
}

const BOTH = {
  User: /^darkroom$/,
  NoNewPrivileges: /^yes$/,
  CapabilityBoundingSet: /^$/,
  ProtectSystem: /^strict$/,
  ProtectHome: /^yes$/,
  PrivateTmp: /^yes$/,
  PrivateDevices: /^yes$/,
  ProtectKernelTunables: /^yes$/,
  ProtectKernelModules: /^yes$/,
  ProtectControlGroups: /^yes$/,
  ProtectProc: /^invisible$/,
  RestrictNamespaces: /^yes$/,
  RestrictSUIDSGID: /^yes$/,
  LockPersonality: /^yes$/,
  SystemCallArchitectures: /^native$/,
  SystemCallFilter: /^@system-service ~@privileged$/,
  MemoryMax: /^\d+[%GM]$/,
  TasksMax: /^\d+$/,
  UMask: /^0027$/,
} as const
const SERVICE = {
  ...BOTH,
  RestrictAddressFamilies: /^AF_INET AF_INET6 AF_UNIX AF_NETLINK$/,
  MemoryHigh: /^\d+[%GM]$/,
  // One renderer that takes too much must not end the node.
  OOMPolicy: /^continue$/,
  LimitNOFILE: /^\d{5}$/,
  Restart: /^always$/,
  RestartSec: /^\d+(?:ms|s)$/,
} as const
const PURGE = { ...BOTH, PrivateNetwork: /^yes$/, RestrictAddressFamilies: /^AF_UNIX$/ } as const
const PURGE_REMOTES = { ...BOTH, RestrictAddressFamilies: /^AF_INET AF_INET6 AF_UNIX AF_NETLINK$/ } as const

/** The group may move and delete what an FTP server wrote. */
const INGEST = {
  ...BOTH,
  RestrictAddressFamilies: /^AF_INET AF_INET6 AF_UNIX$/,
  UMask: /^0007$/,
  Restart: /^always$/,
} as const

/** The socket of HAProxy belongs to its group. */
const FRONT = { ...PURGE_REMOTES, SupplementaryGroups: /^haproxy$/, Restart: /^always$/ } as const

const { ProtectProc: _seesNginx, ...DOCTOR } = PURGE_REMOTES

for (const [unit, wanted] of [
  [UNIT, SERVICE],
  [PURGE_UNIT, PURGE],
  [PURGE_REMOTES_UNIT, PURGE_REMOTES],
  [DOCTOR_UNIT, DOCTOR],
  [INGEST_UNIT, INGEST],
  [FRONT_UNIT, FRONT],
] as const) {
  const name = unit.slice(unit.lastIndexOf('/') + 1)
  test(`${name} gives up all that the service can do without`, async () => {
    await ensureConfinement()
    const settings = await settingsOf(unit)
    for (const [setting, value] of Object.entries(wanted))
      assert.match(settings.get(setting) ?? 'absent', value, setting)
    // Tenths: systemd calls everything below 2.5 "OK". It exits with an error above the threshold.
    const judged = await commandOutput('systemd-analyze', [
      'security',
      '--offline=true',
      '--threshold=18',
      '--no-pager',
      unit,
    ])
    assert.notEqual(judged, undefined)
  })
}

test('What the unit forbids is refused by the kernel', async () => {
  const tries = `
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, *args):
    ctypes.set_errno(0)
    getattr(libc, name)(*args)
    return f'{name} {ctypes.get_errno()}'
said = [tried('unshare', 0x10000000), tried('mount', 0, 0, 0, 0, 0), tried('ptrace', 0, 0, 0, 0), tried('setuid', 1)]
for family in (socket.AF_PACKET, socket.AF_INET):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
        said.append('socket 0')
    except OSError as error:
        said.append(f'socket {error.errno}')
print(', '.join(said))`
  const refused = 'unshare 1, mount 1, ptrace 1, setuid 1, socket 1'
  assert.equal(await confined(UNIT, tries), `${refused}, socket 0`)
  assert.equal(await confined(PURGE_UNIT, tries), `${refused}, socket 1`)
})

test('Under the unit’s confinement a node takes in, renders and sends pictures of every format, and ends', async (t) => {
  const { url, pid } = await startConfined(t)
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  assert.match(status, /^Seccomp:\t2$/m)
  assert.match(status, /^NoNewPrivs:\t1$/m)
  assert.match(status, /^CapEff:\t0{16}$/m)
  const cases = {
    'mountains.jpg': { jpg: 'jpeg', png: 'png', webp: 'webp', avif: 'avif', gif: 'gif' },
    'dandelion.gif': { webp: 'webp' },
    'stream.avif': { jpg: 'jpeg' },
  }
  for (const [name, formats] of Object.entries(cases)) {
    const id = await uploadFixture(url, name)
    for (const [extension, format] of Object.entries(formats)) {
      const answer = await rawRequest(url, `/image/${id}/40w/x.${extension}`)
      assert.equal(answer.status, 200, `${name} as ${extension}`)
      await assertPicture(answer.body, { format, width: 40 })
    }
    assert.equal((await rawRequest(url, `/images/${id}/info`)).status, 200)
  }
  assert.equal(jsonFields((await rawRequest(url, '/readyz')).body).status, 'ready')
})

test('Under its unit’s confinement, at the lowest priority, purge-remotes deletes what is in the store', async () => {
  const python = await ensureConfinement()
  const folder = join(await createServerFolder('confined-purge'), 'data')
  const image = join(folder, 'remotes/3f/2a', `r3f2a${'0'.repeat(36)}`)
  await mkdir(image, { recursive: true })
  await writeFile(join(image, 'pointer.json'), '{}')
  const { stdout } = await promisify(execFile)(
    'nice',
    ['-n', '19', python, ...(await confinement(PURGE_REMOTES_UNIT)), path('scripts/purge-remotes'), '--max-bytes=0'],
    { env: { STORE: `file:${folder}`, PATH: process.env['PATH'] } },
  )
  assert.match(stdout, /^purge-remotes: deleted 1 of 1 images/)
  assert.deepEqual(await readdir(folder), ['tmp'])
})

test('Under the unit’s confinement the doctor finds nothing wrong, and does not decide whether the node starts', async (t) => {
  const python = await ensureConfinement()
  const [, before = ''] = /^ExecStartPre=-\/opt\/darkroom\/(.*)$/m.exec(await readFile(UNIT, 'utf8')) ?? []
  const [command = '', ...args] = before.split(' ')
  assert.deepEqual([command, args.includes('--local')], ['scripts/doctor', true])
  const folder = await createServerFolder('confined-doctor')
  t.after(() => rm(folder, { recursive: true }))
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache'), PATH: process.env['PATH'] }
  const line = [...(await confinement(UNIT)), path(command), ...args]
  const { stdout } = await promisify(execFile)(python, line, { env })
  assert.equal(stdout, '')
})

test('Under its unit’s confinement the doctor checks all that it checks, and writes the metrics', async (t) => {
  const python = await ensureConfinement()
  const [, command = ''] = /^ExecStart=\/opt\/darkroom\/(.*)$/m.exec(await readFile(DOCTOR_UNIT, 'utf8')) ?? []
  const folder = await createServerFolder('confined-doctor')
  t.after(() => rm(folder, { recursive: true }))
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache'), PATH: process.env['PATH'] }
  const [program = '', ...args] = command.replace('/run/darkroom-doctor', folder).split(' ')
  const line = [...(await confinement(DOCTOR_UNIT)), path(program), ...args, '--json', '--nginx-user=root']
  const { stdout } = await promisify(execFile)(python, line, { env })
  assert.match(stdout, /^\{"status":"(?:ok|warning)","failures":0,/)
  assert.match(
    await readFile(join(folder, 'darkroom.prom'), 'utf8'),
    /^darkroom_doctor_findings\{check="render",status="ok"\} 1$/m,
  )
})

async function startConfined(t: TestContext): Promise<{ url: string; pid: number }> {
  const python = await ensureConfinement()
  const folder = await createServerFolder('confined')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const cacheDir = join(folder, 'cache')
  await mkdir(cacheDir)
  const server = await startServer({
    name: 'node',
    command: python,
    args: [...(await confinement(UNIT)), process.execPath, path('src/main.ts')],
    folder,
    env: {
      MALLOC_ARENA_MAX: '2',
      STORE: `file:${join(folder, 'data')}`,
      CACHE_DIR: cacheDir,
      PORT: String(port),
      UPLOAD_TOKENS: TOKEN,
      DRAIN_SECONDS: '0',
    },
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
    readyTimeoutMs: 20_000,
  })
  t.after(() => server.stop())
  return { url, pid: server.pid }
}
