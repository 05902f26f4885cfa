import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FOLDER = 'usr/share/backgrounds'

/**
 * Fetches Debian's packages and unpacks the photographs in them, without installing anything.
 *
 * Needs `apt-get` and `dpkg-deb`, and the package lists: they are fetched when they are missing and the user is root.
 *
 * @param packages Names of Debian packages whose files lie in `/usr/share/backgrounds`.
 * @param workDir An empty folder; the caller removes it.
 * @returns Finds the path of a photograph by the beginning of its file name.
 */
export async function unpackPhotographs(
  packages: readonly string[],
  workDir: string,
): Promise<(prefix: string) => string> {
  await download(packages, workDir)
  for (const name of await readdir(workDir)) {
    if (name.endsWith('.deb')) await run('dpkg-deb', ['-x', join(workDir, name), workDir])
  }
  const photographs = await readdir(join(workDir, FOLDER))
  return (prefix) => {
    const name = photographs.find((candidate) => candidate.startsWith(prefix))
    if (name === undefined) throw new Error(`No photograph ${prefix}* in ${packages.join(', ')}`)
    return join(workDir, FOLDER, name)
  }
}

async function download(packages: readonly string[], cwd: string): Promise<void> {
  // apt's own user may not write into a temporary folder of ours; what it fetches is checked by signature all the same.
  const fetchPackages = () => run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], { cwd })
  try {
    await fetchPackages()
  } catch (error) {
    if (process.getuid?.() !== 0) throw new Error('Run `apt-get update` as root first', { cause: error })
    await run('apt-get', ['-q', 'update'])
    await fetchPackages()
  }
}
