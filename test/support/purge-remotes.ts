import { execFile } from 'node:child_process'
import { resolve } from 'node:path'

export const PURGE_REMOTES = resolve(import.meta.dirname, '../../scripts/purge-remotes')

export interface PurgeRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `scripts/purge-remotes` as cron does: with nothing in the environment but the settings. */
export function purgeRemotes(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  command = PURGE_REMOTES,
): Promise<PurgeRun> {
  return new Promise((done) => {
    const child = execFile(command, args, { env, cwd: '/', timeout: 60_000 }, (_error, stdout, stderr) => {
      done({ code: child.exitCode ?? -1, stdout, stderr })
    })
  })
}
