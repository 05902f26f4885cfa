import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FILE_MODE, FOLDER_MODE } from './disk-file.ts'

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
