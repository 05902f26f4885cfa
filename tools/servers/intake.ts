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
  /** So far. */
  problems(): string
}

/** `scripts/ingest`, as systemd runs it, until it or the test ends. */
export function startIntake(t: Scope, options: IntakeOptions): RunningIntake {
  const child = spawnIntake(options, [])
  const problems = linesOf(child)
  const ended = endOf(child, problems)
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return await ended
  }
  stopAfter(t, async () => void (await end('SIGKILL')))
  return { end, problems }
}

/** `scripts/ingest --once`, to its end. */
export function ingestOnce(options: IntakeOptions): Promise<IntakeEnd> {
  const child = spawnIntake(options, ['--once'])
  return endOf(child, linesOf(child))
}

function spawnIntake({ spool, url, args = [], token = TOKEN }: IntakeOptions, more: readonly string[]) {
  const all = ['--spool', spool, '--url', url, '--json', '--scan-seconds', '1', ...args, ...more]
  return spawn(INGEST, all, { env: { DARKROOM_TOKEN: token }, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** @returns What the process has written to stderr so far. */
function linesOf({ stderr }: ChildProcess): () => string {
  let written = ''
  stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    written += chunk
  })
  return () => written
}

async function endOf(child: ChildProcess, problems: () => string): Promise<IntakeEnd> {
  const { stdout } = child
  if (stdout === null) throw new Error('The intake has pipes')
  const ended = once(child, 'close')
  const output = await text(stdout)
  await ended
  const lines = output.split('\n').filter((line) => line !== '')
  return { code: child.exitCode, lines: lines.map(fieldsOf), problems: problems() }
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
