import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createFlagFile, type FlagFile, type FlagFileOptions } from './flag-file.ts'

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
