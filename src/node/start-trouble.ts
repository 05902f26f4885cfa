import { ConfigError } from '../config/env.ts'

/** A temporary reason why a node cannot start. The message names the setting. */
export class PassingError extends Error {}

/**
 * The disk of a setting does not respond. The thread that waits for it cannot be ended, and `process.exit` would not
 * return.
 */
export class HungDiskError extends PassingError {}

/**
 * Ends a process after a HungDiskError. `process.exit` would wait for the hung thread forever; when a process executes another
 * program, the kernel ends all its threads.
 */
export function endDespiteHungThreads(hung: Pick<NodeJS.Process, 'execve'>, exitCode: number): void {
  hung.execve?.('/bin/sh', ['sh', '-c', `exit ${exitCode}`], {})
}

/** A disk that spins up, or is mounted on demand, takes some seconds. */
const ANSWER_MS = 15_000

/** Failures that last until an operator acts; unlike a full disk, for example. */
const LASTING = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ELOOP',
  'ENAMETOOLONG',
  'EINVAL',
])

export interface PlaceSetting {
  readonly name: string
  readonly path: string
  /** A value that is correct elsewhere, for messages. */
  readonly example: string
}

/**
 * Waits for work on that path at start.
 *
 * @throws ConfigError for a mistake of the operator, HungDiskError if the disk does not respond for 15 s, else the
 *   error of `work`.
 */
export async function atStart<T>({ name, path, example }: PlaceSetting, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const message = `${name}: the file system of ${path} has not responded for ${ANSWER_MS / 1000} s; check whether it is a network mount whose server is down`
    timer = setTimeout(() => reject(new HungDiskError(message)), ANSWER_MS)
  })
  try {
    return await Promise.race([work, late])
  } catch (error) {
    if (!LASTING.has(codeOf(error))) throw error
    const rule = `it should be a folder that the user of this process can write to, such as ${example}`
    throw new ConfigError(`${name}: ${messageOf(error)}; ${rule}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Translates the error of listening to the settings. A missing address or an unknown name is temporary, as the network
 * may not be up yet.
 */
export function listenTrouble(
  error: unknown,
  { HOST, PORT }: { readonly HOST: string; readonly PORT: number },
): unknown {
  if (codeOf(error) === 'EADDRINUSE') {
    const advice = `stop it, or choose another port, such as PORT=${PORT === 65_535 ? 8080 : PORT + 1}`
    return new ConfigError(`PORT: another process already listens on ${HOST}, port ${PORT}: ${advice}`, {
      cause: error,
    })
  }
  if (codeOf(error) === 'EACCES') {
    const advice = 'choose a port above 1023, such as PORT=8080'
    return new ConfigError(`PORT: the user of this process has no permission to listen on port ${PORT}: ${advice}`, {
      cause: error,
    })
  }
  if (codeOf(error) === 'EADDRNOTAVAIL' || codeOf(error) === 'ENOTFOUND' || codeOf(error) === 'EAI_AGAIN') {
    const advice = 'use one of its addresses, such as HOST=127.0.0.1, or HOST=:: for all addresses'
    return new PassingError(`HOST: ${HOST} is not an address of this machine: ${advice}`, { cause: error })
  }
  return error
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
