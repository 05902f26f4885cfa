import { execFile } from 'node:child_process'

/** Beyond it, the disk counts as failed. */
const DEADLINE_MS = 30_000

/**
 * Waits until everything that was written to the file system of this folder before the call is on the disk. Node.js has no
 * `syncfs`; the command of coreutils and BusyBox calls it.
 * @returns false if that failed, or if this system has no such command.
 */
export function syncFileSystem(folder: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('sync', ['-f', folder], { timeout: DEADLINE_MS, killSignal: 'SIGKILL' }, (error) =>
      resolve(error === null),
    )
  })
}
