import { mkdir, mkdtemp, open, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { commandOutput, runCommand } from './process.ts'
import type { Scope } from './scope.ts'

/** A file system of its own, in memory. */
export interface SmallDisk {
  readonly path: string
  freeBytes(): Promise<number>
  /** As another program would: writes until nothing more fits. @returns its path. */
  fill(name: string): Promise<string>
  /** Makes empty files until there is no inode left. @returns the path of their folder. */
  fillInodes(name: string): Promise<string>
  remount(mode: 'ro' | 'rw'): Promise<void>
}

/**
 * Mounts one until the test ends; what still uses it then keeps it until it ends itself.
 * @param inodes 0: as many as there is room for.
 * @throws Error unless root runs the tests: nobody else may mount.
 */
export async function mountSmallDisk(t: Scope, megabytes: number, inodes = 0): Promise<SmallDisk> {
  if (process.getuid?.() !== 0) throw new Error('This test mounts a small disk, which needs root: run it with sudo')
  const path = await mkdtemp(join(tmpdir(), 'darkroom-disk-'))
  t.after(async () => {
    await runCommand('umount', ['--lazy', path])
    // A node that still runs may have made its folders again below the mount point.
    await rm(path, { recursive: true, force: true, maxRetries: 5 })
  })
  await runCommand('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,nr_inodes=${inodes},mode=0755`, 'tmpfs', path])
  return {
    path,
    async freeBytes() {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    },
    async fill(name) {
      const file = join(path, name)
      const filler = await open(file, 'a')
      const piece = Buffer.alloc(65_536)
      try {
        for (;;) await filler.write(piece)
      } catch (error) {
        if (!isFull(error)) throw error
      } finally {
        await filler.close()
      }
      return file
    },
    async fillInodes(name) {
      const folder = join(path, name)
      await mkdir(folder)
      for (let index = 0; ; index += 1) {
        try {
          await writeFile(join(folder, String(index)), '')
        } catch (error) {
          if (!isFull(error)) throw error
          return folder
        }
      }
    },
    async remount(mode) {
      // Refused while a file is open for writing.
      for (let tries = 0; ; tries += 1) {
        if ((await commandOutput('mount', ['-o', `remount,${mode}`, path])) !== undefined) return
        if (tries === 500) throw new Error(`${path} cannot be remounted ${mode}`)
        await delay(10)
      }
    },
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC'
}
