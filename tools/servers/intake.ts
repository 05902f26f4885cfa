import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../processes/scope.ts'
import { TOKEN } from '../requests/token.ts'
import { stopAfter } from './site.ts'

const INGEST = fileURLToPath(new URL('../../scripts/ingest', import.meta.url))

export interface IntakeOptions {
  readonly spool: string
  /** Of the node. */
  readonly url: string
  /** Further options of the command. */
  readonly args?: readonly string[]
  readonly token?: string
}

export interface IntakeEnd {
  readonly code: number | null
  /** One for each line of standard output. */
  readonly lines: readonly Readonly<Record<string, unknown>>[]
  /** Standard error. */
  readonly problems: string
}

export interface RunningIntake {
  /** SIGTERM, or the given signal. */
  end(signal?: NodeJS.Signals): Promise<IntakeEnd>
}

/** `scripts/ingest`, as systemd runs it, until it or the test ends. */
export function startIntake(t: Scope, options: IntakeOptions): RunningIntake {
  const child = spawnIntake(options, [])
  const ended = endOf(child)
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return await ended
  }
  stopAfter(t, async () => void (await end('SIGKILL')))
  return { end }
}

/** `scripts/ingest --once`, to its end. */
export function ingestOnce(options: IntakeOptions): Promise<IntakeEnd> {
  return endOf(spawnIntake(options, ['--once']))
}

function spawnIntake({ spool, url, args = [], token = TOKEN }: IntakeOptions, more: readonly string[]) {
  const all = ['--spool', spool, '--url', url, '--json', '--scan-seconds', '1', ...args, ...more]
  return spawn(INGEST, all, { env: { DARKROOM_TOKEN: token }, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
}

async function endOf(child: ChildProcess): Promise<IntakeEnd> {
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('The intake has pipes')
  const ended = once(child, 'close')
  const [output, problems] = await Promise.all([text(stdout), text(stderr)])
  await ended
  const lines = output.split('\n').filter((line) => line !== '')
  return { code: child.exitCode, lines: lines.map(fieldsOf), problems }
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
