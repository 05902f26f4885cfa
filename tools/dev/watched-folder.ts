import { type FSWatcher, readdirSync, watch } from 'node:fs'
import { join } from 'node:path'

/**
 * Calls `onChange` for each event in a folder or below. Folders are watched rather than files, as Node's own recursive watcher does:
 * on Linux that one loses a file that an editor replaces by renaming, and fails at an editor's temporary file that it cannot read.
 * @returns What ends it.
 */
export function watchFolder(root: string, onChange: () => void): () => void {
  const watchers = new Map<string, FSWatcher>()
  const scan = () => {
    const folders = new Set([root, ...foldersBelow(root)])
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      watchers.delete(folder)
    }
    for (const folder of folders) if (!watchers.has(folder)) watchers.set(folder, watch(folder, changed))
  }
  const changed = () => {
    scan()
    onChange()
  }
  scan()
  return () => {
    for (const watcher of watchers.values()) watcher.close()
  }
}

function foldersBelow(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name))
}
