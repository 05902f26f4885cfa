import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { docCommands } from '../docs/doc-commands.ts'
import { freePort } from '../processes/free-port.ts'
import { runCommand } from '../processes/process.ts'
import { copyRegistrySettings, ensureDebianRoot } from '../servers/debian-root.ts'

const PROJECT = resolve(import.meta.dirname, '../..')
/** The npm that comes with a major version of Node. */
const NPM_OF_NODE: Readonly<Record<string, string>> = { 18: '10', 20: '10', 22: '10', 24: '11' }

/** What became of the commands of README.md, by the names of first-hour.sh, such as `ready` and `first` (seconds). */
export type FirstHour = ReadonlyMap<string, string>

/**
 * Follows the quick start of README.md, to the letter but for the port, in a fresh Debian root with a Node of its own.
 * It runs in namespaces of its own for mounts and processes, which end with it.
 *
 * @param node Major version, such as `20`. @param withTests Runs `npm test` too.
 */
export async function firstHour(node: string, withTests: boolean): Promise<FirstHour> {
  const base = await ensureDebianRoot()
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-fresh-'))
  try {
    const upper = join(folder, 'upper')
    for (const name of [upper, join(folder, 'work'), join(folder, 'root')]) await mkdir(name, { mode: 0o755 })
    await installNode(folder, node)
    await copyRegistrySettings(upper)
    const clone = join(upper, 'root/darkroom')
    await mkdir(join(upper, 'root'), { mode: 0o700 })
    await runCommand('git', ['clone', '--quiet', '--no-hardlinks', PROJECT, clone])
    await cp(join(import.meta.dirname, 'first-hour.sh'), join(upper, 'root/first-hour.sh'))
    return await runInRoot(folder, base, await quickStart(withTests))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function installNode(folder: string, node: string): Promise<void> {
  const npm = NPM_OF_NODE[node]
  if (npm === undefined) throw new Error(`--node: "${node}" is not one of ${Object.keys(NPM_OF_NODE).join(', ')}`)
  const prefix = join(folder, 'node')
  const packages = [`node-linux-${process.arch}@${node}`, `npm@${npm}`]
  await runCommand('npm', ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', '--silent', ...packages])
  const local = join(folder, 'upper/usr/local')
  await mkdir(join(local, 'bin'), { recursive: true })
  await cp(join(prefix, `node_modules/node-linux-${process.arch}/bin/node`), join(local, 'bin/node'))
  await cp(join(prefix, 'node_modules/npm'), join(local, 'lib/node_modules/npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'))
}

/** The variables of first-hour.sh. */
async function quickStart(withTests: boolean): Promise<Readonly<Record<string, string>>> {
  const [commands = '', upload = ''] = await docCommands('README.md', 'Quick start')
  const [start = '', test = ''] = commands.split('\n')
  const port = String(await freePort())
  return { PORT: port, START: start, UPLOAD: upload.replace(':8080', `:${port}`), TEST: withTests ? test : '' }
}

async function runInRoot(folder: string, base: string, env: Readonly<Record<string, string>>): Promise<FirstHour> {
  const enter = `
    mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$FOLDER/upper,workdir=$FOLDER/work" "$FOLDER/root"
    mount --rbind /dev "$FOLDER/root/dev"
    mount -t proc proc "$FOLDER/root/proc"
    mount -t sysfs sysfs "$FOLDER/root/sys"
    exec chroot "$FOLDER/root" env --chdir=/root/darkroom --unset=BASE --unset=FOLDER bash /root/first-hour.sh`
  // Everything in the namespaces ends with this process, even if it is killed.
  const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child']
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...unshare, 'sh', '-euc', enter], {
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      LANG: 'C.UTF-8',
      NODE_EXTRA_CA_CERTS: '/etc/ssl/certs/ca-certificates.crt',
      BASE: base,
      FOLDER: folder,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = (await text(child.stdout)).trim().split('\n')
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]))
}
