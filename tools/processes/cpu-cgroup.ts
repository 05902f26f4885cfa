import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cgroupHierarchy, removeCgroup, switchOn } from './cgroup-hierarchy.ts'

const PERIOD_US = 100_000

/** A group of processes that may use so much CPU time together. */
export interface CpuCgroup {
  /** Moves processes into it; what they start from now on is in it too. */
  add(pids: readonly number[]): Promise<void>
  /** Share of the periods so far in which the group wanted more than it may have, 0 to 1. */
  throttled(): Promise<number>
  /** All that was in it must have ended. */
  remove(): Promise<void>
}

/**
 * @param cores CPU time per time: 0.25 is a quarter of a core.
 * @throws Error where groups cannot be made: it needs root, and a cgroup file system that may be written.
 */
export async function createCpuCgroup(name: string, cores: number): Promise<CpuCgroup> {
  const { version, top } = await cgroupHierarchy('cpu')
  const folder = join(top, `darkroom-${process.pid}-${name}`)
  const quota = Math.round(cores * PERIOD_US)
  try {
    if (version === 2) await switchOn('cpu', top)
    await mkdir(folder)
    if (version === 2) await writeFile(join(folder, 'cpu.max'), `${quota} ${PERIOD_US}`)
    else await writeFile(join(folder, 'cpu.cfs_quota_us'), String(quota))
  } catch (cause) {
    await rmdir(folder).catch(() => {})
    throw new Error(`No CPU cgroup can be made in ${top}: this needs root and cgroups that may be written`, { cause })
  }
  return {
    async add(pids) {
      for (const pid of pids) await writeFile(join(folder, 'cgroup.procs'), String(pid))
    },
    async throttled() {
      const stat = await readFile(join(folder, 'cpu.stat'), 'utf8')
      const value = (field: string) => Number(new RegExp(`^${field} (\\d+)$`, 'm').exec(stat)?.[1] ?? Number.NaN)
      return value('nr_throttled') / Math.max(1, value('nr_periods'))
    },
    remove: () => removeCgroup(folder),
  }
}
