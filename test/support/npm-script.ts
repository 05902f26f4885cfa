import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Scope } from '../../tools/processes/scope.ts'
import { stopAfter } from '../../tools/servers/site.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const WITHIN_MS = 60_000

/** A running script of `package.json`, as a new user starts it. */
export interface NpmScript {
  /** @returns the match in what it has printed. @throws Error if it ends before, or after a minute. */
  untilSaid(pattern: RegExp): Promise<RegExpExecArray>
}

/** Starts `npm ...` in the top folder. It ends with the scope, as by ctrl-C. */
export function startScript(t: Scope, args: readonly string[], env: Readonly<Record<string, string>>): NpmScript {
  // A group of its own, as in a terminal: ctrl-C reaches all of it.
  const child = spawn('npm', args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = once(child, 'close')
  stopAfter(t, async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGINT')
    await ended
  })
  return {
    async untilSaid(pattern) {
      const deadline = performance.now() + WITHIN_MS
      for (;;) {
        const found = pattern.exec(said)
        if (found !== null) return found
        if (child.exitCode !== null || performance.now() > deadline) {
          throw new Error(`npm ${args.join(' ')} did not say ${pattern.source}: ${said.slice(-4000)}`)
        }
        await delay(20)
      }
    },
  }
}
