import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runCommand } from '../processes/process.ts'
import type { Version } from './relay.ts'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/**
 * Installs a commit of this repository, with its own packages, into a folder.
 *
 * @param commit Any name that git knows.
 * @throws Error if git does not know it (a shallow clone), or its packages cannot be installed.
 */
export async function installVersion(commit: string, folder: string): Promise<Version> {
  const { stdout } = await run('git', ['-C', ROOT, 'rev-parse', '--verify', `${commit}^{commit}`])
  const sha = stdout.trim()
  await mkdir(folder, { recursive: true })
  await runCommand('sh', ['-ec', 'git -C "$1" archive "$2" | tar --extract --directory="$3"', 'sh', ROOT, sha, folder])
  const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--silent']
  await runCommand('npm', ['ci', '--prefix', folder, ...flags])
  return { name: sha.slice(0, 7), main: join(folder, 'src/main.ts') }
}
