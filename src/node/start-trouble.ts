import { ConfigError } from '../config/env.ts'

/** What keeps a node from starting for now, and may pass by itself. The message names the setting. */
export class PassingError extends Error {}

/** The disk that a setting names does not answer. The thread that waits for it cannot be ended, nor can `process.exit` return. */
export class HungDiskError extends PassingError {}

/**
 * Ends a process after a HungDiskError. `process.exit` would wait for the hung thread forever; when a process executes another
 * program, the kernel ends all its threads.
 */
export function endDespiteHungThreads(hung: Pick<NodeJS.Process, 'execve'>, exitCode: number): void {
  hung.execve?.('/bin/sh', ['sh', '-c', `exit ${exitCode}`], {})
}

/** A disk that spins up, or an automounted one, takes some seconds. */
const ANSWER_MS = 15_000

/** Failures that last until an operator does something; a full disk, for one, may be freed by somebody else. */
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

/** A setting that names a place on the disk. */
export interface PlaceSetting {
  readonly name: string
  readonly path: string
  /** A value that is correct elsewhere, for messages. */
  readonly example: string
}

/**
 * Waits for work at the start on that place.
 *
 * @throws ConfigError for what an operator has to fix, HungDiskError if nothing is heard for 15 s, else what `work` throws.
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
 * What kept the server from listening, in terms of the settings. An address that this machine does not have may come with its
 * network, and a name may be known later.
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
