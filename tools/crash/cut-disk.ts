import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { ensureCommands } from '../servers/debian-packages.ts'

/** A disk whose state at any moment can be looked at, as the power would have been cut then. */
export interface CutDisk {
  /** Where it is mounted. */
  readonly path: string
  /** Mounts a copy of what is on the disk now. Whatever only the memory of the kernel has is missing. */
  cut(scope: Scope, name: string): Promise<string>
}

const DISK_BYTES = 512 * 2 ** 20
const OUTER_BYTES = 4 * 2 ** 30
/** A shorter interval than the default of 5 s: ext4 writes names sooner, and most contents as late as before. */
const OPTIONS = 'loop,commit=1'

/**
 * Mounts an ext4 on a loop device until the end of the scope. Its image is a file on an XFS, where a copy of a file shares its
 * blocks, and is made within one moment while the file is being written.
 * @throws Error unless root runs this, on a kernel with loop devices.
 */
export async function mountCutDisk(scope: Scope, folder: string): Promise<CutDisk> {
  if (process.getuid?.() !== 0) throw new Error('A power cut needs root, because it mounts file systems')
  await ensureCommands({ packages: ['xfsprogs', 'e2fsprogs'], commands: ['mkfs.xfs', 'mkfs.ext4'], services: [] })
  const [outer, path] = [join(folder, 'outer'), join(folder, 'disk')]
  const image = join(outer, 'disk.img')
  await runCommand('truncate', ['--size', String(OUTER_BYTES), `${outer}.img`])
  await runCommand('mkfs.xfs', ['-q', '-m', 'reflink=1', `${outer}.img`])
  await mount(scope, `${outer}.img`, outer, 'loop')
  await runCommand('truncate', ['--size', String(DISK_BYTES), image])
  await runCommand('mkfs.ext4', ['-q', image])
  await mount(scope, image, path, OPTIONS)
  return {
    path,
    async cut(until, name) {
      const [copy, place] = [join(outer, `${name}.img`), join(folder, name)]
      await runCommand('cp', ['--reflink=always', image, copy])
      until.after(() => runCommand('rm', [copy]))
      await mount(until, copy, place, 'loop')
      return place
    },
  }
}

/** Scopes undo in the order of their set-up, which a mount in another one does not allow: it is detached at once, and ends later. */
async function mount(scope: Scope, image: string, path: string, options: string): Promise<void> {
  await mkdir(path)
  await runCommand('mount', ['-o', options, image, path])
  scope.after(() => runCommand('umount', ['--lazy', path]))
}
