import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, type RunningServer, runQuietly, startServer } from '../processes/process.ts'
import { untilGone } from '../processes/renderers.ts'
import { ensureProftpd } from './install-servers.ts'

/** Debian's user `nobody`: a user of FTP may not be root. */
const USER_ID = 65_534
const PASSIVE_PORTS = 60
const DAYS = '30'

export interface ProftpdOptions {
  /** The user's folder is made in it. */
  readonly spool: string
  readonly user: string
  /** Default: free ones. */
  readonly ports?: { readonly ftp: number; readonly sftp: number }
}

/** ProFTPD with the configuration of packaging/proftpd, on loopback. */
export interface Proftpd {
  /** FTP, and FTPS by AUTH TLS. */
  readonly ftpPort: number
  readonly sftpPort: number
  readonly user: string
  readonly password: string
  /** PEM file of its own certificate. */
  readonly certificate: string
  /** Of a user's key for SFTP. */
  readonly privateKey: string
  readonly server: Pick<RunningServer, 'stop'>
  /** SIGKILL for the server and its sessions; starts it again with the same users, keys and ports. */
  restart(): Promise<void>
  /** Process ids of the sessions. */
  sessions(): Promise<readonly number[]>
}

/** @throws Error unless root starts it: a session runs as its user, in the folder of the user only. */
export async function startProftpd({ spool, user, ports }: ProftpdOptions): Promise<Proftpd> {
  if (process.getuid?.() !== 0)
    throw new Error('ProFTPD confines its users to their folders, which needs root: run this with sudo')
  const command = await ensureProftpd()
  const folder = await createServerFolder('proftpd')
  await chmod(folder, 0o755)
  const home = join(spool, user)
  await mkdir(home, { recursive: true })
  await chown(home, USER_ID, USER_ID)
  const password = randomBytes(9).toString('hex')
  await writeUsers(folder, { user, password, home })
  await writeKeys(folder, user)
  const ftpPort = ports?.ftp ?? (await freePort())
  const sftpPort = ports?.sftp ?? (await freePort())
  const configuration = join(folder, 'proftpd.conf')
  await writeFile(configuration, await confFor(folder, { ftpPort, sftpPort, passive: await passivePorts() }))
  const start = (): Promise<RunningServer> =>
    startServer({
      name: 'proftpd',
      command,
      args: ['--nodaemon', '--config', configuration],
      folder,
      isReady: async () => (await greets(ftpPort)) && (await greets(sftpPort)),
      readyTimeoutMs: 30_000,
    })
  const started = [await start()]
  const pid = () => started.at(-1)?.pid ?? 0
  return {
    ftpPort,
    sftpPort,
    user,
    password,
    certificate: join(folder, 'crt'),
    privateKey: join(folder, 'user-key'),
    server: { stop: async () => void (await Promise.all(started.map((server) => server.stop()))) },
    async restart() {
      process.kill(-pid(), 'SIGKILL')
      await untilGone([pid()])
      started.push(await start())
    },
    async sessions() {
      const children = await readFile(`/proc/${pid()}/task/${pid()}/children`, 'utf8')
      return children.split(' ').filter(Boolean).map(Number)
    },
  }
}

interface FtpUser {
  readonly user: string
  readonly password: string
  readonly home: string
}

async function writeUsers(folder: string, { user, password, home }: FtpUser): Promise<void> {
  const hash = (await runQuietly('openssl', ['passwd', '-6', password], process.env)).trim()
  const line = `${user}:${hash}:${USER_ID}:${USER_ID}::${home}:/bin/false\n`
  await writeFile(join(folder, 'users'), line, { mode: 0o600 })
}

/** A certificate, a host key, and a key of the user. */
async function writeKeys(folder: string, user: string): Promise<void> {
  const path = (name: string) => join(folder, name)
  const run = (command: string, args: readonly string[]) => runQuietly(command, args, process.env)
  const subject = ['-subj', '/CN=darkroom', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-days', DAYS]
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    path('key'),
    '-out',
    path('crt'),
    ...subject,
  ])
  await run('openssl', ['genrsa', '-out', path('host-key'), '2048'])
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path('user-key')])
  for (const name of ['key', 'host-key']) await chmod(path(name), 0o600)
  await mkdir(path('keys'))
  await writeFile(join(folder, 'keys', user), await run('ssh-keygen', ['-e', '-f', path('user-key.pub')]))
}

interface Ports {
  readonly ftpPort: number
  readonly sftpPort: number
  readonly passive: string
}

/** packaging/proftpd/proftpd.conf with the lines of this site. */
async function confFor(folder: string, { ftpPort, sftpPort, passive }: Ports): Promise<string> {
  const path = (name: string) => join(folder, name)
  const site: Readonly<Record<string, string>> = {
    'Port 21': `Port ${ftpPort}`,
    DefaultAddress: 'DefaultAddress 127.0.0.1',
    PassivePorts: `PassivePorts ${passive}`,
    PidFile: `PidFile ${path('pid')}`,
    ScoreboardFile: `ScoreboardFile ${path('scoreboard')}`,
    DelayTable: `DelayTable ${path('delay')}`,
    SystemLog: `SystemLog ${path('system.log')}`,
    AuthUserFile: `AuthUserFile ${path('users')}`,
    QuotaTallyTable: `QuotaTallyTable file:${path('quota.tally')}`,
    QuotaLimitTable: `QuotaLimitTable file:${path('quota.limit')}`,
    TLSRequired: 'TLSRequired off',
    TLSRSACertificateFile: `TLSRSACertificateFile ${path('crt')}`,
    TLSRSACertificateKeyFile: `TLSRSACertificateKeyFile ${path('key')}`,
    '<VirtualHost': '<VirtualHost 127.0.0.1>',
    'Port 2222': `Port ${sftpPort}`,
    SFTPHostKey: `SFTPHostKey ${path('host-key')}`,
    SFTPAuthorizedUserKeys: `SFTPAuthorizedUserKeys file:${path('keys')}/%u`,
  }
  for (const type of ['limit', 'tally']) {
    await runQuietly(
      'ftpquota',
      ['--create-table', `--type=${type}`, `--table-path=${path(`quota.${type}`)}`],
      process.env,
    )
  }
  const text = await readFile(new URL('../../packaging/proftpd/proftpd.conf', import.meta.url), 'utf8')
  return text
    .split('\n')
    .map((line) => (/^[^#]+ # site$/.test(line) ? siteLine(line.trim(), site) : line))
    .join('\n')
}

function siteLine(line: string, site: Readonly<Record<string, string>>): string {
  const found = Object.entries(site).find(([start]) => line.startsWith(`${start} `))
  if (found === undefined) throw new Error(`No value for the line of proftpd.conf: ${line}`)
  return found[1]
}

/** Between those of `freePort` and those of outgoing connections, where nothing else listens for long. */
async function passivePorts(): Promise<string> {
  const first = 12_000 + ((await freePort()) % 8000)
  return `${first} ${first + PASSIVE_PORTS}`
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', reject)
    socket.once('end', () => resolve(false))
  })
}
