import { randomUUID } from 'node:crypto'
import { access, constants, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import { prepareDisk } from '../../src/node/outside.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf } from './finding.ts'

/** The cache folder exists, or can be created, and the user of this process can write to it. */
export const cacheFolderCheck: Check = {
  name: 'cache folder',
  async run({ config }) {
    const path = resolve(config.CACHE_DIR)
    const missing = await missingFolder('CACHE_DIR', path)
    if (missing) return [missing]
    const probe = join(path, CACHE_FOLDERS.temporary, `doctor-${randomUUID()}`)
    try {
      await prepareDisk(config)
      await writeFile(probe, 'darkroom', { flag: 'wx' })
      return [ok(`CACHE_DIR ${path} is writable.`)]
    } catch (error) {
      return [unwritable('CACHE_DIR', path, error)]
    } finally {
      await rm(probe, { force: true }).catch(() => {
        // It is a temporary file, which the sweep deletes. The failure to write has been reported.
      })
    }
  },
}

/**
 * A folder that the first start creates. The doctor does not create it: run by root, it would give it to root.
 *
 * @returns undefined if there is something at that path, or it cannot be seen.
 */
export async function missingFolder(setting: string, path: string): Promise<Result | undefined> {
  if (!(await isMissing(path))) return undefined
  let parent = dirname(path)
  while (parent !== '/' && (await isMissing(parent))) parent = dirname(parent)
  try {
    await access(parent, constants.W_OK | constants.X_OK)
    return ok(`${setting} ${path} does not exist; the first start of the node creates it.`)
  } catch (error) {
    return unwritable(setting, path, error)
  }
}

/** A failure to write to the folder of a setting. */
export function unwritable(setting: string, path: string, error: unknown): Result {
  return failure(`${setting} ${path} cannot be used: ${reasonOf(error)}.`, `${fixOf(setting, path, reasonOf(error))}.`)
}

function fixOf(setting: string, path: string, reason: string): string {
  if (/\bEROFS\b/.test(reason))
    return `Mount its file system read-write (mount -o remount,rw), or set ${setting} to another folder`
  if (/\b(?:ENOSPC|EDQUOT)\b/.test(reason)) return 'Free disk space or inodes on its file system, or enlarge it'
  return `Run "install --directory --owner=darkroom --group=www-data --mode=2750 ${path}" with the user of the node, or set ${setting} to an empty folder that this user can write to`
}

async function isMissing(path: string): Promise<boolean> {
  try {
    await stat(path)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT'
  }
}
