import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { idOf, noisePicture } from '../../tools/pictures/picture.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { openFtpSession } from '../../tools/requests/ftp-session.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { type Darkroom, fixture, startDarkroom } from '../../tools/servers/darkroom.ts'
import { ensureFtpClients } from '../../tools/servers/install-servers.ts'
import { startIntake } from '../../tools/servers/intake.ts'
import { type Proftpd, startProftpd } from '../../tools/servers/proftpd.ts'
import { AUTHORIZATION, stopAfter, temporaryFolder } from '../../tools/servers/site.ts'

const WITHIN_MS = 60_000
let clients: Awaited<ReturnType<typeof ensureFtpClients>>
let node: Darkroom

before(async () => {
  clients = await ensureFtpClients()
  node = await startDarkroom()
})

after(async () => {
  await node.stop()
})

/** ProFTPD with a user "camera", and by default an intake of its spool folder. */
async function setUp(t: TestContext, { hasIntake = true, spool }: { hasIntake?: boolean; spool?: string } = {}) {
  const folder = spool ?? join(await temporaryFolder(t), 'spool')
  await mkdir(folder, { recursive: true })
  await chmod(join(folder, '..'), 0o755)
  const ftp = await startProftpd({ spool: folder, user: 'camera' })
  stopAfter(t, ftp.server.stop)
  if (hasIntake) startIntake(t, { spool: folder, url: node.url, args: ['--renamed'] })
  return { ftp, spool: folder, home: join(folder, 'camera') }
}

async function until(isTrue: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `not within ${WITHIN_MS} ms: ${what}`)
    await delay(20)
  }
}

/** Names of the reasons in the quarantine. */
async function rejected(spool: string): Promise<readonly string[]> {
  const names = await filesBelow(join(spool, '.quarantine')).catch(() => [])
  return names.filter((name) => name.endsWith('.json'))
}

const isStored = async (bytes: Buffer) => (await fetch(`${node.url}/images/${idOf(bytes)}`)).ok
const fixturePath = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
const picture = async (seed: number) => (await noisePicture(seed, 900, 900)).bytes

const PYTHON = `
import sys
from ftplib import FTP_TLS
port, user, password, path, name = sys.argv[1:]
ftp = FTP_TLS()
ftp.connect("127.0.0.1", int(port))
ftp.login(user, password)
ftp.prot_p()
with open(path, "rb") as file:
    ftp.storbinary("STOR " + name, file)
ftp.quit()
`

/** Options of OpenSSH's sftp, with the user's key. */
const sftpOptions = ({ sftpPort, privateKey }: Proftpd) => [
  '-q',
  '-b',
  '-',
  '-P',
  String(sftpPort),
  '-i',
  privateKey,
  ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes'].flatMap((option) => ['-o', option]),
]

async function sftp(ftp: Proftpd, ...commands: readonly string[]): Promise<string> {
  const args = [...sftpOptions(ftp), `${ftp.user}@127.0.0.1`]
  const child = spawn(clients.sftp, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stdin.end(`${commands.join('\n')}\n`)
  await once(child, 'close')
  return `${child.exitCode} ${said.trim()}`
}

test('curl, lftp, Python’s ftplib and OpenSSH’s sftp store a picture each, with its name and source', async (t) => {
  const { ftp } = await setUp(t)
  const at = `127.0.0.1:${ftp.ftpPort}`
  const login = `${ftp.user}:${ftp.password}`
  const lftp = `set net:max-retries 1; set ssl:ca-file ${ftp.certificate}; set ftp:ssl-force true; put ${fixturePath('stream.webp')}`
  await runQuietly(clients.curl, ['-sS', '-u', login, '-T', fixturePath('mountains.jpg'), `ftp://${at}/`], process.env)
  const tls = ['--ssl-reqd', '--cacert', ftp.certificate, '--ftp-create-dirs']
  await runQuietly(
    clients.curl,
    ['-sS', ...tls, '-u', login, '-T', fixturePath('fig-alpha.png'), `ftp://${at}/a/b/`],
    process.env,
  )
  await runQuietly(
    clients.lftp,
    ['-u', `${ftp.user},${ftp.password}`, '-p', String(ftp.ftpPort), '-e', `${lftp}; quit`, '127.0.0.1'],
    process.env,
  )
  const python = [
    '-c',
    PYTHON,
    String(ftp.ftpPort),
    ftp.user,
    ftp.password,
    fixturePath('dandelion.gif'),
    'dandelion.gif',
  ]
  await runQuietly(clients.python3, python, process.env)
  assert.equal(await sftp(ftp, `put -p ${fixturePath('dogs-grey.jpg')}`).then((said) => said.split(' ')[0]), '0')
  for (const name of ['mountains.jpg', 'fig-alpha.png', 'stream.webp', 'dandelion.gif', 'dogs-grey.jpg']) {
    const bytes = await fixture(name)
    await until(() => isStored(bytes), name)
    const record = await (await fetch(`${node.url}/images/${idOf(bytes)}`, { headers: AUTHORIZATION })).text()
    const fields = jsonFields(record)
    assert.deepEqual([fields['name'], fields['source']], [name, 'camera'])
  }
})

test('A user can neither list, read, append nor delete, and does not leave the own folder', async (t) => {
  const { ftp, home, spool } = await setUp(t, { hasIntake: false })
  await writeFile(join(spool, 'secret.jpg'), 'of another user')
  const session = await openFtpSession(ftp)
  t.after(() => session.close())
  const bytes = await fixture('mountains.jpg')
  assert.match(await session.store('cat.jpg', bytes), /^226 /)
  for (const command of [
    'RETR cat.jpg',
    'APPE cat.jpg',
    'DELE cat.jpg',
    'RETR ../secret.jpg',
    'RMD /',
    'STOR .hidden.jpg',
  ]) {
    await session.send('PASV')
    assert.match(await session.send(command), /^5/, command)
  }
  await session.send('CWD ../..')
  assert.match(await session.send('PWD'), /^257 "\/"/)
  assert.match(await session.store('/../../../escape.jpg', bytes), /^226 /)
  assert.deepEqual((await readdir(home)).toSorted(), ['cat.jpg', 'escape.jpg'])
  for (const command of ['get cat.jpg /dev/null', 'rm cat.jpg', 'put /dev/null .hidden']) {
    assert.match(await sftp(ftp, command), /^1 /, command)
  }
  assert.equal(
    await sftp(ftp, '-ls', 'mkdir day', 'rename cat.jpg dog.jpg'),
    '0 sftp> -ls\nsftp> mkdir day\nsftp> rename cat.jpg dog.jpg',
  )
})

test('A client that names no transfer type sends bytes, and one that names ASCII too', async (t) => {
  const { ftp, home } = await setUp(t, { hasIntake: false })
  const session = await openFtpSession(ftp)
  t.after(() => session.close())
  // Its signature has the ends of lines of two systems.
  const bytes = await fixture('fig-alpha.png')
  await session.store('unnamed.png', bytes)
  await session.send('TYPE A')
  await session.store('ascii.png', bytes)
  for (const name of ['unnamed.png', 'ascii.png']) assert.deepEqual(await readFile(join(home, name)), bytes)
})

test('A transfer that is cut by FIN or RST leaves no image, and the same name can be sent again', async (t) => {
  const { ftp, spool } = await setUp(t)
  for (const [index, cut] of (['fin', 'rst'] as const).entries()) {
    const bytes = await picture(index)
    const first = await openFtpSession(ftp)
    await first.store('cut.png', bytes.subarray(0, bytes.length >> 1), cut)
    first.close()
    await until(async () => (await ftp.sessions()).length === 0, 'the end of the session')
    // FTP cannot tell a cut by FIN from the end of a file: the decoder does.
    if (cut === 'fin') await until(async () => (await rejected(spool)).length > 0, 'the rejection')
    const again = await openFtpSession(ftp)
    assert.match(await again.store('cut.png', bytes), /^226 /)
    again.close()
    await until(() => isStored(bytes), cut)
  }
  assert.equal((await rejected(spool)).length, 1)
})

test('After kill -9 of its session a file can be sent again under the same name', async (t) => {
  const { ftp, home } = await setUp(t)
  for (const protocol of ['ftp', 'sftp'] as const) {
    const bytes = await picture(protocol.length)
    const path = join(home, '..', '.bytes.png')
    await writeFile(path, bytes)
    const args = [...sftpOptions(ftp), '-l', '2000', `${ftp.user}@127.0.0.1`]
    const curl = ['-sS', '--limit-rate', '200k', '-u', `${ftp.user}:${ftp.password}`, '-T', path]
    const slow =
      protocol === 'ftp'
        ? spawn(clients.curl, [...curl, `ftp://127.0.0.1:${ftp.ftpPort}/same.png`], {
            stdio: ['pipe', 'ignore', 'ignore'],
          })
        : spawn(clients.sftp, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    slow.stdin.end(`put ${path} same.png\n`)
    const ended = once(slow, 'close')
    const partial = async () => (await readdir(home)).some((name) => name.startsWith('.in.same.png.'))
    await until(partial, 'the beginning of the transfer')
    for (const session of await ftp.sessions()) process.kill(session, 'SIGKILL')
    await ended
    await until(async () => (await ftp.sessions()).length === 0, 'the end of the session')
    assert.equal(await isStored(bytes), false)
    // What it left behind does not stand in the way.
    assert.ok(await partial())
    if (protocol === 'ftp') {
      await runQuietly(
        clients.curl,
        [...curl.filter((word) => !/rate|200k/.test(word)), `ftp://127.0.0.1:${ftp.ftpPort}/same.png`],
        process.env,
      )
    } else {
      assert.match(await sftp(ftp, `put ${path} same.png`), /^0 /)
    }
    await until(() => isStored(bytes), protocol)
  }
})

test('A client of SFTP that dies leaves no partial image', async (t) => {
  const { ftp, home } = await setUp(t)
  const bytes = await picture(99)
  const path = join(home, '..', '.bytes.png')
  await writeFile(path, bytes)
  const client = spawn(clients.sftp, [...sftpOptions(ftp), '-l', '2000', `${ftp.user}@127.0.0.1`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  client.stdin.write(`put ${path} dies.png\n`)
  await until(async () => (await readdir(home)).some((name) => name.startsWith('.in.dies.png.')), 'the beginning')
  assert.ok(client.pid)
  const ended = once(client, 'close')
  process.kill(-client.pid, 'SIGKILL')
  await ended
  await until(async () => (await ftp.sessions()).length === 0, 'the end of the session')
  assert.match(await sftp(ftp, `put ${path} dies.png`), /^0 /)
  await until(() => isStored(bytes), 'the second attempt')
})

test('While the spool folder is full FTP answers 452, and pictures are viewed; then files are taken again', async (t) => {
  const disk = await mountSmallDisk(t, 4)
  const { ftp } = await setUp(t, { spool: join(disk.path, 'spool') })
  const [shown, bytes] = [await fixture('mountains.jpg'), await picture(7)]
  const session = await openFtpSession(ftp)
  t.after(() => session.close())
  await session.store('shown.jpg', shown)
  await until(() => isStored(shown), 'a picture to view')
  const filler = await disk.fill('filler')
  assert.match(await session.store('full.png', bytes), /^452 /)
  assert.ok((await fetch(`${node.url}/image/${idOf(shown)}/100w`)).ok)
  await writeFile(filler, '')
  assert.match(await session.store('full.png', bytes), /^226 /)
  await until(() => isStored(bytes), 'the file after the outage')
})
