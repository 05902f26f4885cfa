import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FILE_MODE, FOLDER_MODE } from '../files/new-file.ts'

/** Flags by name, each a file in one folder. Names are file names, without a slash. */
export interface FlagFolder {
  raise(name: string): void
  lower(name: string): void
  /** Removes all flags, if possible. */
  stop(): Promise<void>
}

export interface FlagFolderOptions extends Pick<FlagFileOptions, 'onStuck'> {
  readonly folder: string
}

/** Number of flags from which lowered ones are forgotten. */
const MAX_IDLE = 256

/** Removes flags of an earlier process. */
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

  /** Each new flag lowers itself. */
  async function takeDownOld(): Promise<void> {
    try {
      for (const name of await readdir(folder)) flagOf(name)
    } catch {
      // There is no folder, or the single flag file of an older version.
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

/** Delay before another attempt to remove a flag. */
const RETRY_MS = 1000

/** An empty file, whose existence is a signal to another process. */
export interface FlagFile {
  /** The file will exist soon, unless the disk refuses it. */
  raise(): void
  /** The file will be removed, with as many attempts as necessary. */
  lower(): void
  /** Removes the file, if possible. */
  stop(): Promise<void>
  /** Whether the file does not exist and is not about to. */
  readonly isDown: boolean
}

export interface FlagFileOptions {
  readonly path: string
  /** Called once while the file cannot be removed. */
  readonly onStuck: (error: unknown) => void
}

/** Removes the file of an earlier process. */
export function createFlagFile({ path, onStuck }: FlagFileOptions): FlagFile {
  let [stands, wanted, stopping] = [true, false, false]
  let settling: Promise<void> | undefined

  function settle(): void {
    if (stands !== wanted) settling ??= work()
  }

  async function work(): Promise<void> {
    let told = false
    // `wanted` may change meanwhile.
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

  /** @returns Whether the file exists. */
  async function put(): Promise<boolean> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE })
      await writeFile(path, '', { mode: FILE_MODE })
      return true
    } catch {
      return false
    }
  }

  /** @returns The error, if the file still exists. */
  async function remove(): Promise<unknown> {
    try {
      await rm(path, { force: true })
      return undefined
    } catch (error) {
      // On a read-only disk the removal of a missing file fails as well.
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
