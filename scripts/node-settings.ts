import { resolve } from 'node:path'
import { bucketVariables } from '../src/config/buckets-file.ts'
import { type Config, ConfigError, loadConfig } from '../src/config/env.ts'
import { endDespiteHungThreads, HungDiskError } from '../src/node/start-trouble.ts'
import { EXIT, type Failure } from './run-command.ts'

/**
 * Loads the settings of the node from the environment. Paths in them are relative to the folder of Darkroom, which becomes the
 * working directory.
 *
 * @throws ConfigError with all mistakes.
 */
export async function loadNodeSettings(): Promise<Config> {
  process.chdir(resolve(import.meta.dirname, '..'))
  return loadConfig(process.env, await bucketVariables(process.env['BUCKETS_FILE']))
}

/** Exit code for invalid settings or an unusable machine; the same as the node's in `main.ts`. */
export function explainNodeFailure(error: unknown): Failure | undefined {
  if (error instanceof ConfigError) return { reason: 'failed', exitCode: EXIT.usage }
  if (!(error instanceof HungDiskError)) return undefined
  const exitCode = EXIT.failed
  return { reason: 'failed', exitCode, end: () => endDespiteHungThreads(process, exitCode) }
}
