import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const RMDIR_TRIES = 100

/** A group of processes that may have so much memory together. */
export interface MemoryCgroup {
  /** A command that runs another one in the group, from its first byte, in its own place. */
  readonly through: readonly string[]
  /** Processes that the kernel has ended for want of memory. */
  oomKills(): Promise<number>
  /** The most that was used at once, page cache included; NaN where the kernel does not keep it (version 2 before Linux 5.19). */
  peakBytes(): Promise<number>
  /** All that was in it must have ended. */
  remove(): Promise<void>
}

/** Where groups with a limit on memory are made. */
export interface MemoryHierarchy {
  readonly version: 1 | 2
  /** The folder of the topmost group that is seen from here. */
  readonly top: string
}

const FILES = {
  1: {
    limit: 'memory.limit_in_bytes',
    limitWithSwap: 'memory.memsw.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
    events: 'memory.oom_control',
  },
  2: { limit: 'memory.max', limitWithSwap: 'memory.swap.max', peak: 'memory.peak', events: 'memory.events' },
} as const

/**
 * Finds where memory is limited: version 1 if that has the controller, as on machines that mount both.
 *
 * @param mountInfo As `/proc/self/mountinfo` has it.
 * @throws Error when no cgroups are mounted.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
export function memoryHierarchy(mountInfo: string): MemoryHierarchy {
  const mounts = mountInfo
    .trim()
    .split('\n')
    .map((line) => {
      // After the mount point come options and optional fields, of any number, up to a dash.
      const [before = '', after = ''] = line.split(' - ')
      const [type, , options = ''] = after.split(' ')
      return { path: unescaped(before.split(' ')[4] ?? ''), type, options: options.split(',') }
    })
  const first = mounts.find(({ type, options }) => type === 'cgroup' && options.includes('memory'))
  if (first) return { version: 1, top: first.path }
  const second = mounts.find(({ type }) => type === 'cgroup2')
  if (second) return { version: 2, top: second.path }
  throw new Error('This machine has no cgroups that limit memory')
}

/** Spaces and the like are octal numbers there. */
function unescaped(path: string): string {
  return path.replaceAll(/\\(\d{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)))
}

/**
 * @param hierarchy By default this machine's.
 * @throws Error where groups cannot be made: it needs root, and a cgroup file system that may be written.
 */
export async function createMemoryCgroup(limitBytes: number, hierarchy?: MemoryHierarchy): Promise<MemoryCgroup> {
  const { version, top } = hierarchy ?? memoryHierarchy(await readFile('/proc/self/mountinfo', 'utf8'))
  const { limit, limitWithSwap, peak, events } = FILES[version]
  const folder = join(top, `darkroom-${process.pid}-${Date.now()}`)
  try {
    if (version === 2) await switchOn(top)
    await mkdir(folder)
    await writeFile(join(folder, limit), String(limitBytes))
    // Else what is too much would go to the disk. Version 1 counts both together, and version 2 swap by itself.
    const withSwap = join(folder, limitWithSwap)
    if (await isThere(withSwap)) await writeFile(withSwap, String(version === 1 ? limitBytes : 0))
  } catch (cause) {
    await rmdir(folder).catch(() => {})
    throw new Error(
      `No memory cgroup can be made in ${top}: this needs root, cgroups that may be written, and in a container of version 2 a top group without processes of its own`,
      { cause },
    )
  }
  return {
    through: ['sh', '-c', 'echo $$ > "$0" && exec "$@"', join(folder, 'cgroup.procs')],
    async oomKills() {
      return Number(/^oom_kill (\d+)$/m.exec(await readFile(join(folder, events), 'utf8'))?.[1] ?? Number.NaN)
    },
    async peakBytes() {
      const file = join(folder, peak)
      return (await isThere(file)) ? Number(await readFile(file, 'utf8')) : Number.NaN
    },
    async remove() {
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
    },
  }
}

/** In version 2 a group's children have a controller only if the group says so. */
async function switchOn(top: string): Promise<void> {
  const control = join(top, 'cgroup.subtree_control')
  const controllers = (await readFile(control, 'utf8')).trim().split(' ')
  if (!controllers.includes('memory')) await writeFile(control, '+memory')
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
