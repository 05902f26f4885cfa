import { closeSync, constants, fstatSync, futimesSync, openSync, type Stats } from 'node:fs'
import { systemErrorCode } from './cache-sweep-walk.ts'

/** Opening must not be what renews the access time; and nothing but the file itself is opened. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME

/**
 * Makes the next read of a file renew its access time. With `relatime` the kernel does that once a day, and when the file
 * was changed since it was last read: setting its times, to what they are, is such a change. So a picture that nginx sends
 * again and again, of which the node hears nothing, is told from one that was looked at once, also in a cache that turns
 * over in less than a day. Does nothing where a read is expected already: it costs a change of the inode, once for each
 * time that somebody has read it. On a mount with `noatime` nothing is ever renewed, and this does nothing.
 *
 * @param stats From just before; what has another file in its place by now is left alone.
 * @throws what the system says.
 */
export function expectRead(path: string, { ino, dev, atimeMs, ctimeMs, mtimeMs }: Stats): void {
  if (atimeMs <= ctimeMs) return
  const file = openOwn(path)
  if (file === undefined) return
  try {
    const opened = fstatSync(file)
    if (opened.ino === ino && opened.dev === dev) futimesSync(file, atimeMs / 1000, mtimeMs / 1000)
  } finally {
    closeSync(file)
  }
}

/** @returns undefined for a file that somebody else owns: it can be removed, but only its owner may set its times. */
function openOwn(path: string): number | undefined {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'EPERM' || code === 'EACCES') return undefined
    throw error
  }
}
