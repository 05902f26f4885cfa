import { statSync } from 'node:fs'

/**
 * Run by root it gives up root's rights first: what is written must belong to the node, and nobody who can write to its
 * folders may lead root to delete something elsewhere by swapping a folder for a link.
 *
 * @param folders Of the node; the first that is there says who owns it.
 */
export function becomeOwner(...folders: readonly string[]): void {
  if (process.getuid?.() !== 0) return
  const owner = folders
    .map((folder) => statSync(folder, { throwIfNoEntry: false }))
    .find((found) => found !== undefined)
  if (owner === undefined || owner.uid === 0) return
  process.setgroups?.([owner.gid])
  process.setgid?.(owner.gid)
  process.setuid?.(owner.uid)
}
