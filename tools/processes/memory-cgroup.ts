import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CgroupHierarchy, cgroupHierarchy, removeCgroup, switchOn } from './cgroup-hierarchy.ts'

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
 * @param hierarchy By default this machine's.
 * @throws Error where groups cannot be made: it needs root, and a cgroup file system that may be written.
 */
export async function createMemoryCgroup(limitBytes: number, hierarchy?: CgroupHierarchy): Promise<MemoryCgroup> {
  const { version, top } = hierarchy ?? (await cgroupHierarchy('memory'))
  const { limit, limitWithSwap, peak, events } = FILES[version]
  const folder = join(top, `darkroom-${process.pid}-${Date.now()}`)
  try {
    if (version === 2) await switchOn('memory', top)
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
    remove: () => removeCgroup(folder),
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
