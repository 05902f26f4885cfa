import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

/** What a server gets to end by itself after SIGTERM: hundreds are waited for in a run. */
const GRACE_MS = 5000

/**
 * Finds the line of /proc/<pid>/stat of a process of the group `$1` that still runs. One that is dead, with all of its
 * threads, is not waited for until its parent asks after it: an orphan's is the first process of a container, and some of
 * those look every two seconds.
 */
const RUNS = String.raw`\) ([^XZ] [0-9]+ $1 |Z [0-9]+ $1 (-?[0-9]+ ){14}([2-9]|1[0-9]))`

/**
 * Ends a process group and removes a folder as soon as its standard input closes. The kernel closes that when the test
 * process is gone, however it went, so that no server outlives its test. `$1`: the group, `$2`: the folder, `$3`: the signal,
 * `$4`: twentieths of a second until SIGKILL.
 */
const WATCHDOG = `
cat >/dev/null
kill -s "$3" -- "-$1" 2>/dev/null
waits=0
while grep -qsE "${RUNS}" /proc/[0-9]*/stat && [ "$waits" -lt "$4" ]; do sleep 0.05; waits=$((waits + 1)); done
kill -s KILL -- "-$1" 2>/dev/null
rm -rf -- "$2"
`

export interface RunningServer {
  readonly pid: number
  /** The server's temporary folder; goes when the server is stopped. */
  readonly folder: string
  /** Ends the server and what it started, by SIGKILL if it takes too long; resolves when all of it is gone. */
  stop(): Promise<void>
}

export interface ServerCommand {
  /** For messages and for the names of folder and log. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Made by `createServerFolder`; the working folder too. The server owns it from now on. */
  readonly folder: string
  readonly env?: Readonly<Record<string, string>>
  /** Asked every 20 ms until it answers true; what it throws counts as "not yet". */
  isReady(): Promise<boolean>
  readonly readyTimeoutMs: number
  /** How it ends; SIGKILL for one that has nothing to save and would take its time. Default: SIGTERM. */
  readonly endsBy?: 'TERM' | 'KILL'
  /** Time until SIGKILL. Default: five seconds. */
  readonly endsWithinMs?: number
}

export function createServerFolder(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `darkroom-${name}-`))
}

/**
 * Starts a server that ends with `stop` or with this process, and does not keep this process alive.
 *
 * @throws Error with the end of the server's log when it ends or isn't ready in time.
 */
export async function startServer(options: ServerCommand): Promise<RunningServer> {
  const { name, command, args, folder } = options
  const logPath = join(folder, `${name}.log`)
  const log = openSync(logPath, 'a')
  const env = { ...process.env, ...options.env }
  // A group of its own: ctrl-C must not reach the server while tests still clean up.
  const server = spawn(command, args, { cwd: folder, env, stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const pid = await startedPid(server, name)
  server.unref()
  const watchdog = startWatchdog(pid, options)

  const stop = async () => {
    if (watchdog.exitCode !== null) return
    const exited = once(watchdog, 'exit')
    watchdog.ref()
    watchdog.stdin.end()
    await exited
  }
  const deadline = Date.now() + options.readyTimeoutMs
  for (;;) {
    const lastError = await options.isReady().then(
      (ready) => (ready ? undefined : 'it says so itself'),
      (error: unknown) => String(error),
    )
    const ended = server.exitCode !== null || server.signalCode !== null
    // Otherwise it was another server that said so.
    if (lastError === undefined && !ended) return { pid, folder, stop }
    if (ended || Date.now() > deadline) {
      const tail = (await readFile(logPath, 'utf8')).slice(-4000)
      await stop()
      const reason = ended ? 'ended at once' : `was not ready in ${options.readyTimeoutMs} ms (${lastError})`
      throw new Error(`${name} ${reason}. Its log ends:\n${tail}`)
    }
    await delay(20)
  }
}

function startWatchdog(
  group: number,
  { folder, endsBy = 'TERM', endsWithinMs = GRACE_MS }: ServerCommand,
): ChildProcessByStdio<Writable, null, null> {
  const args = ['-c', WATCHDOG, 'watchdog', String(group), folder, endsBy, String(endsWithinMs / 50)]
  const watchdog = spawn('sh', args, {
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    detached: true,
  })
  watchdog.unref()
  if (watchdog.stdin instanceof Socket) watchdog.stdin.unref()
  return watchdog
}

async function startedPid(child: ChildProcess, name: string): Promise<number> {
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw new Error(`${name} does not start`, { cause })
  }
  if (child.pid === undefined) throw new Error(`${name} has no process id`)
  return child.pid
}

/**
 * Runs a command to its end. What it prints goes to our standard error, so that standard output stays the tests'.
 *
 * @throws Error when it can't be started, or ends with another code than 0.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 2, 2] })
  const code = await exitCode(child)
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} failed with ${code ?? 'a signal'}; see its output above`)
}

/**
 * Runs a command of few words to its end, in an environment of its own.
 *
 * @returns what it printed on standard output.
 * @throws Error with what it printed on standard error, when it ends with another code than 0.
 */
export async function runQuietly(
  command: string,
  args: readonly string[],
  env: Readonly<NodeJS.ProcessEnv>,
): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const [code, output, errors] = await Promise.all([exitCode(child), text(child.stdout), text(child.stderr)])
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed with ${code ?? 'a signal'}: ${errors.trim()}`)
  return output
}

/** What a command prints on standard output, trimmed; undefined if it can't be started or fails. */
export async function commandOutput(command: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  try {
    return (await exitCode(child)) === 0 ? Buffer.concat(chunks).toString().trim() : undefined
  } catch {
    // No such command.
    return undefined
  }
}

/** Resolves when the process has ended and its output has been read; null after a signal. */
function exitCode(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
