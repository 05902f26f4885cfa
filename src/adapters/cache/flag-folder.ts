import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FILE_MODE, FOLDER_MODE } from '../files/new-file.ts'

/** Flags by name, each a file in one folder. Names are file names, without a slash. */
export interface FlagFolder {
  raise(name: string): void
  lower(name: string): void
  /** All are gone, if that is possible. */
  stop(): Promise<void>
}

export interface FlagFolderOptions extends Pick<FlagFileOptions, 'onStuck'> {
  readonly folder: string
}

/** Flags that are down are forgotten, once there are so many. */
const MAX_IDLE = 256

/** None is raised, whatever a process before this one has left there. */
export function createFlagFolder({ folder, onStuck }: FlagFolderOptions): FlagFolder {
  const flags = new Map<string, FlagFile>()

  function flagOf(name: string): FlagFile {
    const known = flags.get(name)
    if (known) return known
    if (flags.size >= MAX_IDLE) for (const [other, { isDown }] of flags) if (isDown) flags.delete(other)
    const flag = createFlagFile({ path: join(folder, name), onStuck })
    flags.set(name, flag)
    return flag
  }

  /** Each flag takes itself down when it is made. */
  async function takeDownOld(): Promise<void> {
    try {
      for (const name of await readdir(folder)) flagOf(name)
    } catch {
      // There is none, or a file of an older version, which was the only flag.
      await rm(folder, { force: true }).catch(() => {})
    }
  }

  const old = takeDownOld()
  return {
    raise: (name) => flagOf(name).raise(),
    lower: (name) => flagOf(name).lower(),
    async stop() {
      await old
      await Promise.all([...flags.values()].map((flag) => flag.stop()))
    },
  }
}

/** What could not be removed is tried again after so long. */
const RETRY_MS = 1000

/** An empty file, which says yes to another process by being there. */
export interface FlagFile {
  /** Soon it is there; not if the disk takes no file. */
  raise(): void
  /** Soon it is gone, however often that has to be tried. */
  lower(): void
  /** It is gone, if that is possible. */
  stop(): Promise<void>
  /** It is not there, and nobody wants it to be. */
  readonly isDown: boolean
}

export interface FlagFileOptions {
  readonly path: string
  /** It cannot be removed; called once until it can. */
  readonly onStuck: (error: unknown) => void
}

/** Not raised, whatever a process before this one has left there. */
export function createFlagFile({ path, onStuck }: FlagFileOptions): FlagFile {
  let [stands, wanted, stopping] = [true, false, false]
  let settling: Promise<void> | undefined

  function settle(): void {
    if (stands !== wanted) settling ??= work()
  }

  async function work(): Promise<void> {
    let told = false
    // Whoever changes their mind meanwhile is heard here.
    while (stands !== wanted) {
      if (wanted) {
        stands = await put()
        if (!stands) wanted = false
        continue
      }
      const error = await remove()
      stands = error !== undefined
      if (error === undefined) continue
      if (!told) onStuck(error)
      told = true
      if (stopping) break
      await delay(RETRY_MS)
    }
    settling = undefined
  }

  /** @returns whether it is there. */
  async function put(): Promise<boolean> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE })
      await writeFile(path, '', { mode: FILE_MODE })
      return true
    } catch {
      return false
    }
  }

  /** @returns why it is still there. */
  async function remove(): Promise<unknown> {
    try {
      await rm(path, { force: true })
      return undefined
    } catch (error) {
      // On a disk that is read-only, what is not there cannot be removed either.
      return await access(path).then(
        () => error,
        () => undefined,
      )
    }
  }

  settle()
  return {
    raise() {
      wanted = !stopping
      settle()
    },
    lower() {
      wanted = false
      settle()
    },
    async stop() {
      stopping = true
      wanted = false
      settle()
      await settling
    },
    get isDown() {
      return !stands && !wanted && settling === undefined
    },
  }
}
