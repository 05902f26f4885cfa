import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { commandOutput, runCommand } from '../processes/process.ts'
import { ensureCommand } from './debian-packages.ts'
import { ensureCached } from './install-servers.ts'

/** Of apt's configuration: where packages come from, and the keys and the proxy for that. */
const APT_CONFIGURATION = [
  '/etc/apt/sources.list',
  '/etc/apt/sources.list.d',
  '/usr/share/keyrings',
  '/etc/apt/apt.conf.d',
]
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/**
 * A minimal root of this machine's Debian with curl, and without Node: made by debootstrap in a minute, once.
 *
 * @returns The folder, which must not be written to.
 */
export async function ensureDebianRoot(): Promise<string> {
  const suite = /^VERSION_CODENAME=(?<suite>\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.groups?.['suite']
  if (suite === undefined) throw new Error('This is no Debian: /etc/os-release has no VERSION_CODENAME')
  const shell = await ensureCached(`debian-${suite}/root/usr/bin/sh`, async (folder) => {
    const debootstrap = await ensureCommand('debootstrap', { packages: ['debootstrap'], services: [] })
    const root = join(folder, 'root')
    await runCommand(debootstrap, ['--variant=minbase', '--include=ca-certificates,curl', suite, root, await mirror()])
  })
  return dirname(dirname(dirname(shell)))
}

/** Lets apt, npm and Node in a root find the registries as they do on this machine. @param root Is changed. */
export async function copyRegistrySettings(root: string): Promise<void> {
  for (const path of APT_CONFIGURATION) {
    await cp(path, join(root, path), { recursive: true, dereference: true, force: true }).catch(ignoreAbsence)
  }
  await cp(CERTIFICATES, join(root, CERTIFICATES), { dereference: true, force: true })
  for (const path of ['/etc/resolv.conf', '/etc/hosts'])
    await cp(path, join(root, path), { dereference: true, force: true })
  const registry = (await commandOutput('npm', ['config', 'get', 'registry'])) ?? ''
  const npmrc = join(root, 'usr/local/etc/npmrc')
  await mkdir(dirname(npmrc), { recursive: true })
  await writeFile(npmrc, `registry=${registry}\ncafile=${CERTIFICATES}\n`)
  await chmod(npmrc, 0o644)
}

/** The Debian mirror that apt uses here. */
async function mirror(): Promise<string> {
  const sites = await commandOutput('apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages'])
  const [first] = (sites ?? '').split('\n')
  if (first === undefined || first === '')
    throw new Error('apt has no sources: /etc/apt/sources.list.d should name a mirror')
  return first
}

function ignoreAbsence(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}
