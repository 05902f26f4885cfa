import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Who may enter a folder. */
export interface FolderAccess {
  readonly path: string
  /** Such as `0750`. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
  /** Nobody but its owner and root may enter it. */
  readonly isOwnersAlone: boolean
}

const ENTER_AS_GROUP_OR_OTHER = 0o011
const PERMISSIONS = 0o7777

/** Of a folder and of all above it, from the root on: whoever reads a file in it has to enter each. */
export async function folderAccess(folder: string): Promise<readonly FolderAccess[]> {
  const paths = [await realpath(folder)]
  for (let path = paths[0] ?? '/'; path !== dirname(path); path = dirname(path)) paths.unshift(dirname(path))
  return await Promise.all(
    paths.map(async (path) => {
      const { mode, uid, gid } = await stat(path)
      const octal = (mode & PERMISSIONS).toString(8).padStart(4, '0')
      return { path, mode: octal, uid, gid, isOwnersAlone: (mode & ENTER_AS_GROUP_OR_OTHER) === 0 }
    }),
  )
}
