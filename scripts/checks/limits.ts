import type { StatsFs } from 'node:fs'
import { readFile, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Config } from '../../src/config/env.ts'
import { formatByteAmount } from '../../src/domain/text/byte-amount.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped, warning } from './finding.ts'

const LEAST_SHARE = 0.05

/** Free space and inodes of the file systems of the cache and of a file store. */
export const diskCheck: Check = {
  name: 'disk',
  async run({ config }) {
    return await Promise.all(placesOf(config).map(([setting, path]) => diskResult(setting, path, config)))
  },
}

function placesOf({ CACHE_DIR, STORE }: Config): readonly (readonly [string, string])[] {
  const store = STORE.startsWith('file:') ? [['STORE', resolve(STORE.slice('file:'.length))] as const] : []
  return [['CACHE_DIR', resolve(CACHE_DIR)], ...store]
}

async function diskResult(setting: string, path: string, { CACHE_MIN_FREE_BYTES }: Config): Promise<Result> {
  const found = await statfsAbove(path).catch((error: unknown) => reasonOf(error))
  if (typeof found === 'string') return skipped(`The file system of ${setting} cannot be examined: ${found}.`)
  const { bavail, blocks, bsize, ffree, files } = found
  const freeBytes = bavail * bsize
  const leastBytes = (setting === 'CACHE_DIR' ? CACHE_MIN_FREE_BYTES : undefined) ?? LEAST_SHARE * blocks * bsize
  // Some file systems, such as btrfs, have no fixed number of inodes.
  const freeInodeShare = files === 0 ? 1 : ffree / files
  const measured = { freeBytes, freeInodeShare }
  const what = `The file system of ${setting} (${path}) has ${formatByteAmount(freeBytes)} and ${Math.round(freeInodeShare * 100)} % of its inodes free`
  const fix =
    setting === 'CACHE_DIR'
      ? 'Free space, enlarge it, or lower CACHE_MAX_BYTES and run scripts/purge-cache.'
      : 'Free space, enlarge it, or delete images.'
  if (freeBytes === 0 || freeInodeShare === 0) return failure(`${what}: it is full.`, fix, measured)
  if (freeBytes < leastBytes || freeInodeShare < LEAST_SHARE) return warning(`${what}, which is little.`, fix, measured)
  return ok(`${what}.`, measured)
}

/** Free space of the nearest folder that exists. */
async function statfsAbove(path: string): Promise<StatsFs> {
  try {
    return await statfs(path)
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing || path === '/') throw error
    return await statfsAbove(dirname(path))
  }
}

/** nginx opens up to 2,816 connections to a node; files, renderers and calls to the store come on top. */
const ENOUGH_FILES = 8192
const TOO_FEW_FILES = 1024

/** Limit of open files and sockets of this process. Node raises the soft limit to the hard one. */
export const openFilesCheck: Check = {
  name: 'open files',
  async run() {
    const limits = await readFile('/proc/self/limits', 'latin1').catch(() => '')
    const limit = /^Max open files +(?<soft>\d+|unlimited)/m.exec(limits)?.groups?.['soft']
    if (limit === undefined) return [skipped('This system does not tell the limit of open files.')]
    const openFiles = limit === 'unlimited' ? Infinity : Number(limit)
    if (openFiles >= ENOUGH_FILES) return [ok(`A process may open ${limit} files and sockets.`)]
    const found = `A process may open only ${limit} files and sockets, so connections fail under load.`
    const fix =
      'Set LimitNOFILE=65536 in the systemd unit, --ulimit nofile=65536 for a container, or "ulimit -n 65536" in a shell.'
    return [(openFiles < TOO_FEW_FILES ? failure : warning)(found, fix, { openFiles })]
  },
}
