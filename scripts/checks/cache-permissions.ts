import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type FolderAccess, folderAccess } from '../../src/adapters/cache/cache-folder.ts'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import type { Check } from './check.ts'
import { failure, ok, reasonOf, skipped, warning } from './finding.ts'

const run = promisify(execFile)
const DEFAULT_USER = 'www-data'

/** The workers of nginx can enter the folder of renditions, and all folders above it. */
export const cachePermissionsCheck: Check = {
  name: 'cache permissions',
  async run({ config, nginxUser }) {
    if (config.ACCEL_PREFIX === '') return [skipped('ACCEL_PREFIX is not set, so nginx reads no files of the cache.')]
    const folder = join(resolve(config.CACHE_DIR), CACHE_FOLDERS.renditions)
    const folders = await folderAccess(folder).catch((error: unknown) => reasonOf(error))
    if (typeof folders === 'string') return [skipped(`The folder of renditions cannot be examined: ${folders}.`)]
    const worker = nginxUser === undefined ? await defaultWorker() : await userOf(nginxUser)
    if (worker === undefined) {
      const unknown = `The user ${nginxUser ?? DEFAULT_USER} of the nginx workers does not exist.`
      return [
        nginxUser === undefined
          ? skipped(unknown)
          : failure(unknown, 'Correct --nginx-user: the first line of nginx.conf names the user.'),
      ]
    }
    const closed = folders.find((each) => !mayEnter(worker, each))
    if (closed === undefined) return [ok(`The nginx workers (${worker.name}) can enter ${folder}.`)]
    const { path, mode, uid, gid } = closed
    return [
      warning(
        `The nginx workers (${worker.name}) cannot enter ${path} (mode ${mode}, uid ${uid}, gid ${gid}), so the node has to send the files itself.`,
        `Run "chgrp ${worker.gids[0]} ${path} && chmod g+rx ${path}", or "chmod o+x ${path}" for a folder above CACHE_DIR.`,
      ),
    ]
  },
}

interface Worker {
  /** For messages. */
  readonly name: string
  readonly uid: number
  /** The primary group first. */
  readonly gids: readonly number[]
}

/** The kernel's rule: of owner, group and others, the first that applies decides. */
function mayEnter({ uid, gids }: Worker, folder: FolderAccess): boolean {
  if (uid === 0) return true
  const mode = Number.parseInt(folder.mode, 8)
  if (uid === folder.uid) return (mode & 0o100) !== 0
  return (mode & (gids.includes(folder.gid) ? 0o010 : 0o001)) !== 0
}

/** A running worker tells more than its user: the groups are those of its start. */
async function defaultWorker(): Promise<Worker | undefined> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const worker = await workerOf(pid)
    if (worker) return worker
  }
  return await userOf(DEFAULT_USER)
}

/** @returns undefined if the process is no worker of nginx, or has ended. */
async function workerOf(pid: string): Promise<Worker | undefined> {
  const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')
  if (!(await read('cmdline')).startsWith('nginx: worker process')) return undefined
  const status = await read('status')
  const numbers = (field: string) =>
    (new RegExp(`^${field}:(.*)$`, 'm').exec(status)?.[1] ?? '').match(/\d+/g)?.map(Number) ?? []
  const [uid] = numbers('Uid')
  const [gid] = numbers('Gid')
  if (uid === undefined || gid === undefined) return undefined
  return { name: `uid ${uid} of process ${pid}`, uid, gids: [gid, ...numbers('Groups')] }
}

async function userOf(name: string): Promise<Worker | undefined> {
  try {
    const uid = await run('id', ['--user', '--', name])
    const gids = await run('id', ['--groups', '--', name])
    return { name, uid: Number(uid.stdout), gids: gids.stdout.trim().split(' ').map(Number) }
  } catch (error) {
    // id exits with 1 for an unknown user.
    if (error instanceof Error && 'code' in error && error.code === 1) return undefined
    throw error
  }
}
