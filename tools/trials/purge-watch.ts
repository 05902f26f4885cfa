import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CACHE_FOLDERS, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { ask } from '../requests/ask.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import type { Victim } from './purge-stage.ts'

/** When a node has forgotten what it had of a picture. */
export interface PurgeWatch {
  /** Time of `performance.now()`; undefined: not yet. */
  forgottenAt(victim: Victim): number | undefined
  /** Pictures that are looked at: all uploads, and some objects. */
  readonly victims: readonly Victim[]
  stop(): void
}

const LOOK_MS = 10
const ASK_MS = 50
/** Objects are looked at by requests: nodes keep renditions of versions that have not changed. */
const OBJECTS = 5

/** Size by which objects are watched. */
export const WATCHED_SIZE = '40w/x.webp'

/**
 * Identifies the folder of renditions; undefined: there is none. A node that forgets an image renames its folder. Another one may have
 * its inode again, but not its time.
 */
export function folderMark({ cacheDir }: Pick<Darkroom, 'cacheDir'>, { tag }: Victim): string | undefined {
  const folder = join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(tag))
  const found = statSync(folder, { throwIfNoEntry: false })
  return found && `${found.ino}:${found.birthtimeMs}`
}

export async function watchNode(node: Darkroom, all: readonly Victim[]): Promise<PurgeWatch> {
  const forgotten = new Map<Victim, number>()
  const state = { isOver: false }
  const uploads = all.filter(({ key }) => key === undefined)
  const objects = all.filter(({ key }) => key !== undefined).slice(0, OBJECTS)
  const marks = new Map(uploads.map((victim) => [victim, folderMark(node, victim)]))
  for (const [{ path }, mark] of marks) if (mark === undefined) throw new Error(`${path} has no rendition`)
  const etagOf = async ({ path }: Victim) => (await ask(`${node.url}${path}/${WATCHED_SIZE}`)).headers.get('etag')
  const etags = new Map<Victim, string | null>()
  for (const victim of objects) etags.set(victim, await etagOf(victim))

  async function lookAtFolders(): Promise<void> {
    while (!state.isOver) {
      for (const [victim, mark] of marks) {
        if (folderMark(node, victim) === mark) continue
        forgotten.set(victim, performance.now())
        marks.delete(victim)
      }
      await delay(LOOK_MS)
    }
  }

  async function lookAtObjects(): Promise<void> {
    while (!state.isOver && etags.size > 0) {
      for (const [victim, etag] of etags) {
        const now = await etagOf(victim).catch(() => null)
        if (now === null || now === etag) continue
        forgotten.set(victim, performance.now())
        etags.delete(victim)
      }
      await delay(ASK_MS)
    }
  }

  void lookAtFolders()
  void lookAtObjects()
  return {
    forgottenAt: (victim) => forgotten.get(victim),
    victims: [...uploads, ...objects],
    stop() {
      state.isOver = true
    },
  }
}
