import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ignoring } from '../files/new-file.ts'

/**
 * Makes the names durable, from the deepest folder up to `top`. A folder that is gone is skipped.
 * @throws The error of the disk.
 */
export type SyncFolders = (deepest: string, top: string) => Promise<void>

/** Calls that wait for the same folder share one sync, which begins after all of them: the upper folders are those of every put. */
export function createFolderSync(syncOne: (path: string) => Promise<void> = syncFolder): SyncFolders {
  const running = new Map<string, Promise<void>>()
  const waiting = new Map<string, Promise<void>>()

  async function syncAfter(before: Promise<void> | undefined, path: string): Promise<void> {
    // Its error is that of its own callers. Also without one, calls of the same turn join.
    await before?.catch(() => {})
    const sync = waiting.get(path)
    waiting.delete(path)
    if (sync) running.set(path, sync)
    try {
      await syncOne(path)
    } finally {
      if (running.get(path) === sync) running.delete(path)
    }
  }

  function shared(path: string): Promise<void> {
    const sync = waiting.get(path) ?? syncAfter(running.get(path), path)
    waiting.set(path, sync)
    return sync
  }

  return async (deepest, top) => {
    for (let path = deepest; ; path = dirname(path)) {
      await shared(path)
      if (path === top) return
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(ignoring('ENOENT'))
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}
