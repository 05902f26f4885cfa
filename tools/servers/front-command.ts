import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../processes/scope.ts'
import { stopAfter } from './site.ts'

const FRONT = fileURLToPath(new URL('../../scripts/front', import.meta.url))
const WAIT_MS = 30_000

export interface FrontCommandOptions {
  /** Runtime socket of HAProxy. */
  readonly socket: string
  readonly args?: readonly string[]
  /** The settings of the store. */
  readonly env?: Readonly<Record<string, string>>
}

export interface FrontCommand {
  readonly pid: number
  /** Standard error so far. */
  said(): string
  /** Waits until it says so, after what it had said at `from` characters. */
  says(pattern: RegExp, from?: number): Promise<void>
  /** Sends SIGTERM, or the given signal, and waits for the end. @returns the exit code; null after a signal. */
  end(signal?: NodeJS.Signals): Promise<number | null>
  /** The exit code of a command that ends by itself. */
  ended(): Promise<number | null>
}

/** `scripts/front` beside a HAProxy, until it or the test ends. */
export function startFrontCommand(t: Scope, { socket, args = [], env = {} }: FrontCommandOptions): FrontCommand {
  const child = spawn(FRONT, ['--socket', socket, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    cwd: '/',
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const closed = once(child, 'close')
  const ended = async () => {
    await closed
    return child.exitCode
  }
  const end = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return ended()
  }
  stopAfter(t, async () => void (await end('SIGKILL')))
  return {
    pid: child.pid ?? 0,
    said: () => text,
    async says(pattern, from = 0) {
      const deadline = Date.now() + WAIT_MS
      while (!pattern.test(text.slice(from))) {
        if (Date.now() > deadline) throw new Error(`Not said in ${WAIT_MS} ms: ${pattern}\n${text}`)
        await delay(20)
      }
    },
    end,
    ended,
  }
}
