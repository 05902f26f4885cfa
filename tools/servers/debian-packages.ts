import { access, constants, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { commandOutput, runCommand } from '../processes/process.ts'

/** Where Debian puts servers and Go's own installer Go; an ordinary user's PATH often lacks them. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/go/bin']
/** Debian's own switch: while this file says 101, installing a package starts no service. */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d'

interface Installation {
  /** Debian's names. */
  readonly packages: readonly string[]
  /** The systemd units that these packages enable; tests start servers of their own, so they are disabled again. */
  readonly services: readonly string[]
}

export interface PackageRequest extends Installation {
  /** All of them must be there afterwards. */
  readonly commands: readonly string[]
}

/** The full path of a command, looked up in PATH and in the system's folders; undefined if there is none. */
export async function findCommand(name: string): Promise<string | undefined> {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]) {
    const path = join(folder, name)
    if (folder !== '' && (await isExecutable(path))) return path
  }
  return undefined
}

export function isExecutable(path: string): Promise<boolean> {
  return isThere(path, constants.X_OK)
}

/** One installation after the other: apt allows no two, and they share the policy file. */
let lastInstall: Promise<void> = Promise.resolve()

/**
 * Makes sure that commands exist, by installing Debian packages if this is Debian and we are root. No system service
 * is left running or enabled by it.
 *
 * @throws Error that says what to install, where that can't be done here.
 */
export async function ensureCommands(request: PackageRequest): Promise<void> {
  const missing = await missingCommands(request.commands)
  if (missing.length === 0) return
  await install(request, missing)
  const stillMissing = await missingCommands(request.commands)
  const packages = request.packages.join(' ')
  if (stillMissing.length > 0) throw new Error(`${packages} installed, but no ${stillMissing.join(', ')} came of it`)
}

/** `ensureCommands` for packages without commands, such as libraries. @throws as that. */
export async function ensurePackages(request: Installation): Promise<void> {
  const missing = await missingPackages(request.packages)
  if (missing.length > 0) await install(request, missing)
}

async function missingPackages(names: readonly string[]): Promise<string[]> {
  const states = await Promise.all(
    names.map((name) => commandOutput('dpkg-query', ['--show', '--showformat=${db:Status-Status}', name])),
  )
  return names.filter((_, index) => states[index] !== 'installed')
}

async function install(request: Installation, missing: readonly string[]): Promise<void> {
  const packages = request.packages.join(' ')
  if ((await findCommand('apt-get')) === undefined) {
    throw new Error(`${missing.join(', ')} not found. Please install what Debian's packages ${packages} hold`)
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`${missing.join(', ')} not found. Please run: sudo apt-get install -y ${packages}`)
  }
  const installed = lastInstall.then(() => aptInstall(request))
  lastInstall = installed.catch(() => undefined)
  await installed
}

/** `ensureCommands` for one command. @returns Its full path. */
export async function ensureCommand(command: string, request: Omit<PackageRequest, 'commands'>): Promise<string> {
  await ensureCommands({ ...request, commands: [command] })
  const path = await findCommand(command)
  if (path === undefined) throw new Error(`${command} has just been here and is gone`)
  return path
}

async function missingCommands(names: readonly string[]): Promise<string[]> {
  const paths = await Promise.all(names.map((name) => findCommand(name)))
  return names.filter((_, index) => paths[index] === undefined)
}

async function aptInstall({ packages, services }: Installation): Promise<void> {
  process.stderr.write(`Installing Debian's ${packages.join(' ')}\n`)
  const removePolicy = await forbidServiceStarts()
  try {
    // Package lists that are absent or out of date make the first try fail; it takes no time.
    await apt('install', packages).catch(async () => {
      await apt('update', [])
      await apt('install', packages)
    })
  } finally {
    await removePolicy()
  }
  const hasSystemd = await isThere('/run/systemd/system', constants.F_OK)
  if (hasSystemd && services.length > 0) await runCommand('systemctl', ['disable', '--quiet', ...services])
}

async function apt(verb: 'install' | 'update', packages: readonly string[]): Promise<void> {
  const options = ['-qq', '-y', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0']
  if (verb === 'install') options.push('--no-install-recommends')
  await runCommand('apt-get', [verb, ...options, ...packages], { DEBIAN_FRONTEND: 'noninteractive' })
}

/** @returns What undoes it. */
async function forbidServiceStarts(): Promise<() => Promise<void>> {
  // The machine's own policy stays; containers have one that forbids everything as well.
  if (await isThere(SERVICE_POLICY, constants.F_OK)) return async () => {}
  await writeFile(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rm(SERVICE_POLICY, { force: true })
}

async function isThere(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode)
    return true
  } catch {
    return false
  }
}
