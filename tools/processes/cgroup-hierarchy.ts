import { readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const RMDIR_TRIES = 100

export type CgroupController = 'cpu' | 'memory'

/** Where groups with a limit are made. */
export interface CgroupHierarchy {
  readonly version: 1 | 2
  /** The folder of the topmost group that is seen from here. */
  readonly top: string
}

/**
 * Finds where a controller limits: version 1 if that has the controller, as on machines that mount both.
 *
 * @param mountInfo As `/proc/self/mountinfo` has it; by default this machine's.
 * @throws Error when no cgroups are mounted.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
export async function cgroupHierarchy(controller: CgroupController, mountInfo?: string): Promise<CgroupHierarchy> {
  const mounts = (mountInfo ?? (await readFile('/proc/self/mountinfo', 'utf8')))
    .trim()
    .split('\n')
    .map((line) => {
      // After the mount point come options and optional fields, of any number, up to a dash.
      const [before = '', after = ''] = line.split(' - ')
      const [type, , options = ''] = after.split(' ')
      return { path: unescaped(before.split(' ')[4] ?? ''), type, options: options.split(',') }
    })
  const first = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller))
  if (first) return { version: 1, top: first.path }
  const second = mounts.find(({ type }) => type === 'cgroup2')
  if (second) return { version: 2, top: second.path }
  throw new Error(`This machine has no cgroups that limit the ${controller}`)
}

/** Spaces and the like are octal numbers there. */
function unescaped(path: string): string {
  return path.replaceAll(/\\(\d{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)))
}

/** In version 2 a group's children have a controller only if the group says so. */
export async function switchOn(controller: CgroupController, top: string): Promise<void> {
  const control = join(top, 'cgroup.subtree_control')
  const controllers = (await readFile(control, 'utf8')).trim().split(' ')
  if (!controllers.includes(controller)) await writeFile(control, `+${controller}`)
}

/** Removes a group. All that was in it must have ended. */
export async function removeCgroup(folder: string): Promise<void> {
  // The kernel lets go of the last process a moment after it has ended.
  for (let tries = 0; ; tries += 1) {
    try {
      await rmdir(folder)
      return
    } catch (cause) {
      if (tries === RMDIR_TRIES) throw new Error(`${folder} is still in use`, { cause })
    }
    await delay(50)
  }
}
