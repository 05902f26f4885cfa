import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'
const RMDIR_TRIES = 100

/** A group of processes that may have so much memory together. */
export interface MemoryCgroup {
  /** What is started meanwhile belongs to it, from its first byte. */
  startIn<T>(start: () => Promise<T>): Promise<T>
  /** Since its beginning. */
  oomKills(): Promise<number>
  /** Page cache counts too. */
  peakBytes(): Promise<number>
  /** All that was in it must have ended. */
  remove(): Promise<void>
}

/** Where the two versions of cgroups have the same. */
interface Layout {
  readonly parent: string
  readonly limit: string
  readonly peak: string
  readonly events: string
}

const FIRST = {
  parent: join(ROOT, 'memory'),
  limit: 'memory.limit_in_bytes',
  peak: 'memory.max_usage_in_bytes',
  events: 'memory.oom_control',
} as const satisfies Layout
const SECOND = {
  parent: ROOT,
  limit: 'memory.max',
  peak: 'memory.peak',
  events: 'memory.events',
} as const satisfies Layout

/** @throws Error where groups cannot be made: it needs root, and a cgroup file system that is not read-only. */
export async function createMemoryCgroup(limitBytes: number): Promise<MemoryCgroup> {
  const layout = await access(join(FIRST.parent, FIRST.limit)).then(
    () => FIRST,
    () => SECOND,
  )
  const folder = join(layout.parent, `darkroom-${process.pid}`)
  try {
    await mkdir(folder)
    await writeFile(join(folder, layout.limit), String(limitBytes))
  } catch (cause) {
    throw new Error(
      `No memory cgroup can be made in ${layout.parent}: this needs root, and cgroups that may be written`,
      {
        cause,
      },
    )
  }
  const enter = (group: string) => writeFile(join(group, 'cgroup.procs'), String(process.pid))
  return {
    async startIn(start) {
      await enter(folder)
      try {
        return await start()
      } finally {
        await enter(layout.parent)
      }
    },
    async oomKills() {
      return Number(/^oom_kill (\d+)$/m.exec(await readFile(join(folder, layout.events), 'utf8'))?.[1] ?? Number.NaN)
    },
    peakBytes: async () => Number(await readFile(join(folder, layout.peak), 'utf8')),
    async remove() {
      // The kernel lets go of the last process a moment after it has ended.
      for (let tries = 0; ; tries += 1) {
        const removed = await rmdir(folder).then(
          () => true,
          () => false,
        )
        if (removed) return
        if (tries === RMDIR_TRIES) throw new Error(`${folder} is still in use`)
        await delay(50)
      }
    },
  }
}
