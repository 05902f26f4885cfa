import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'

/**
 * Mounts a file system that never answers, as a network mount whose server is away: the kernel waits for a FUSE server that
 * does not read its first message. Until the test ends; what waits for it then fails.
 *
 * @returns its path.
 * @throws Error unless root runs the tests: nobody else may mount.
 */
export async function mountHungDisk(t: Scope): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new Error('This test mounts a disk that hangs, which needs root: run it with sudo')
  const path = await mkdtemp(join(tmpdir(), 'darkroom-hung-'))
  const server = await open('/dev/fuse', 'r+')
  t.after(async () => {
    await runCommand('umount', ['--lazy', path])
    await server.close()
    await rmdir(path)
  })
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other'
  const mount = spawn('mount', ['--internal-only', '-t', 'fuse', '-o', options, 'darkroom-hung', path], {
    stdio: ['ignore', 2, 2, server.fd],
  })
  await once(mount, 'close')
  if (mount.exitCode !== 0) throw new Error(`mount failed with exit code ${mount.exitCode}: see its output above`)
  return path
}
