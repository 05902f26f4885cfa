// The body of `npm run ftp`: ProFTPD and the intake, to try both with a running node.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runTool, say } from './commands/run-tool.ts'
import { type Proftpd, startProftpd } from './servers/proftpd.ts'

const USAGE = `Usage: npm run ftp [-- <options>]

Starts ProFTPD (FTP, FTPS, SFTP) on loopback with a generated user, and the intake that uploads what it receives to a
running node. Installs ProFTPD from Debian if it is missing. Requires root. Ends with ctrl-C.

  --url <url>       the node; default: http://127.0.0.1:8080
  --spool <folder>  where files wait for the node; default: a new folder
  --user <name>     default: camera
  --help            print this help

Environment: DARKROOM_TOKEN, an upload token of the node; default: the one that the first start of a node saved in
data/upload-token.
`

const INGEST = fileURLToPath(new URL('../scripts/ingest', import.meta.url))
const TOKEN_FILE = fileURLToPath(new URL('../data/upload-token', import.meta.url))

await runTool({
  name: 'ftp',
  usage: USAGE,
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8080' },
    spool: { type: 'string' },
    user: { type: 'string', default: 'camera' },
  },
  async run({ url, spool: given, user }) {
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(user)) throw new Error(`--user: "${user}" should be a name such as camera`)
    const token = await uploadToken()
    const spool = given === undefined ? await mkdtemp(join(tmpdir(), 'darkroom-spool-')) : resolve(given)
    await mkdir(spool, { recursive: true })
    // Sessions run as another user, who enters the folder below this one.
    await chmod(spool, 0o755)
    const ftp = await startProftpd({ spool, user })
    for (const line of instructions(ftp, spool)) say(line)
    const intake = spawn(INGEST, ['--spool', spool, '--url', url, '--renamed'], {
      env: { ...process.env, DARKROOM_TOKEN: token },
      stdio: 'inherit',
    })
    // Ctrl-C reaches the intake by itself.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => intake.kill('SIGTERM'))
    await once(intake, 'close')
    await ftp.server.stop()
    return intake.exitCode ?? 1
  },
})

async function uploadToken(): Promise<string> {
  const { DARKROOM_TOKEN } = process.env
  if (DARKROOM_TOKEN) return DARKROOM_TOKEN
  try {
    return (await readFile(TOKEN_FILE, 'utf8')).trim()
  } catch (cause) {
    throw new Error(
      'DARKROOM_TOKEN is not set, and data/upload-token does not exist: start a node with npm start first',
      { cause },
    )
  }
}

function instructions({ ftpPort, sftpPort, user, password, certificate, privateKey }: Proftpd, spool: string) {
  const picture = 'test/fixtures/mountains.jpg'
  return [
    `Files wait in ${spool}; rejected ones are kept in its folder .quarantine. For example:`,
    `  curl -T ${picture} ftp://${user}:${password}@127.0.0.1:${ftpPort}/`,
    `  curl --ssl-reqd --cacert ${certificate} -T ${picture} ftp://${user}:${password}@127.0.0.1:${ftpPort}/`,
    `  lftp -u ${user},${password} -p ${ftpPort} -e 'set ssl:ca-file ${certificate}; put ${picture}; quit' 127.0.0.1`,
    `  echo put ${picture} | sftp -b - -o StrictHostKeyChecking=no -P ${sftpPort} -i ${privateKey} ${user}@127.0.0.1`,
  ]
}
