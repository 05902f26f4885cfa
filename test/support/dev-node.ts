import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'

/** A running `npm run dev`. */
export interface Dev {
  /** Standard output until now. */
  readonly said: string
  /** Resolves when the text has been printed so many times. @throws Error if the process ends before. */
  untilSaid(text: string, times: number): Promise<void>
  /** Ends it as Ctrl-C does. @returns the exit code. */
  stop(): Promise<number | null>
}

/** Starts the body of `npm run dev` in a checkout. It ends with the test. */
export function startDev(
  t: TestContext,
  root: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Dev {
  const child = spawn(process.execPath, ['tools/dev.ts', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    child.emit('said')
  })
  const stop = async () => {
    child.kill('SIGINT')
    await ended
    return child.exitCode
  }
  t.after(stop)
  return {
    get said() {
      return said
    },
    async untilSaid(text, times) {
      while (said.split(text).length <= times) {
        if (child.exitCode !== null) throw new Error(`It ended without "${text}": ${said}`)
        await Promise.race([once(child, 'said'), ended])
      }
    },
    stop,
  }
}
