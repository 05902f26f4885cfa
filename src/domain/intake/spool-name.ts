/** What a name in the spool folder says about a file. */
export type SpoolName =
  /** A file to be taken. */
  | 'file'
  /** A file that ProFTPD still writes, or has left behind: HiddenStores of packaging/proftpd. */
  | 'unfinished'
  /** A file that is being removed after its upload. */
  | 'taken'
  /** Any other name that begins with a dot: of a program that writes aside and renames, as rsync does. */
  | 'hidden'

/** Prefix of a file that is being removed. */
export const TAKEN_PREFIX = '.taken-'
const UNFINISHED_PREFIX = '.in.'

export function readSpoolName(name: string): SpoolName {
  if (name.startsWith(TAKEN_PREFIX)) return 'taken'
  if (name.startsWith(UNFINISHED_PREFIX)) return 'unfinished'
  return name.startsWith('.') ? 'hidden' : 'file'
}
