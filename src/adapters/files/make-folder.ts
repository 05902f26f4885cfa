import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMissing } from './disk-trouble.ts'

/**
 * `mkdir -p`. Node's own reports a read-only file system as ENOENT, and never returns where a folder that exists takes no
 * others (`/proc`).
 *
 * @throws what the system says of the first folder that cannot be made, such as EROFS.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (await isFolder(path)) return
    if (!isMissing(error) || dirname(path) === path || (await isFolder(dirname(path)))) throw error
    await makeFolder(dirname(path), mode)
    await makeFolder(path, mode)
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    // Whatever is wrong with it, the error of making it says.
    return false
  }
}
