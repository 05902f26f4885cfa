import { type FSWatcher, watch } from 'node:fs'

/** Changes in folders, by inotify: one watch for each folder, whatever number of files it has. */
export interface FolderWatch {
  /** Watches a folder from now on. */
  include(folder: Buffer): void
  start(onChange: () => void): { stop(): void }
}

/** inotify has a limit for each user. Further folders are left to the periodic scan. */
const MOST_FOLDERS = 4096

export function createFolderWatch(): FolderWatch {
  const watched = new Map<string, FSWatcher>()
  let notify: (() => void) | undefined

  function forget(key: string): void {
    watched.get(key)?.close()
    watched.delete(key)
  }

  return {
    include(folder) {
      const key = folder.toString('latin1')
      if (notify === undefined || watched.has(key) || watched.size >= MOST_FOLDERS) return
      try {
        const watcher = watch(folder, { encoding: 'buffer' }, () => notify?.())
        // A folder that is gone, or a limit: the scan finds what this watch misses.
        watcher.on('error', () => forget(key))
        watcher.on('close', () => watched.delete(key))
        watched.set(key, watcher)
      } catch {
        // As above.
      }
    },
    start(onChange) {
      notify = onChange
      return {
        stop() {
          notify = undefined
          for (const key of watched.keys()) forget(key)
        },
      }
    },
  }
}
