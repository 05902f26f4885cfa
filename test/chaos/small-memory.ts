import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A limit on the memory of a command and all that it starts. */
export interface SmallMemory {
  /** A command that runs another one under the limit. */
  readonly through: readonly string[]
  /** The most that was used at once, page cache included. */
  peakBytes(): Promise<number>
  /** Processes that the kernel has ended for want of memory. */
  kills(): Promise<number>
  /** When nothing runs in it any more. */
  remove(): Promise<void>
}

const V1 = '/sys/fs/cgroup/memory'
const V2 = '/sys/fs/cgroup'

/** A cgroup of its own, of whichever version this machine has. @throws Error where none can be made. */
export async function limitMemory(bytes: number): Promise<SmallMemory> {
  const isV1 = await isThere(join(V1, 'memory.limit_in_bytes'))
  const folder = join(isV1 ? V1 : V2, `darkroom-chaos-${process.pid}`)
  await mkdir(folder)
  await writeFile(join(folder, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(bytes))
  const read = async (name: string): Promise<string> => await readFile(join(folder, name), 'utf8')
  return {
    through: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh'],
    peakBytes: async () => Number(await read(isV1 ? 'memory.max_usage_in_bytes' : 'memory.peak')),
    async kills() {
      const [, count = '0'] = /^oom_kill (\d+)$/m.exec(await read(isV1 ? 'memory.oom_control' : 'memory.events')) ?? []
      return Number(count)
    },
    remove: () => removeWhenEmpty(folder),
  }
}

/** A process that has ended leaves its cgroup a moment later. */
async function removeWhenEmpty(folder: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await rmdir(folder)
      return
    } catch (error) {
      if (tries === 50) throw error
    }
    await delay(100)
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
