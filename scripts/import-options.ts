import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { ParseArgsOptionsConfig } from 'node:util'
import { readFlags } from './read-flags.ts'

export const USAGE = `Usage: scripts/import --reticulum <upload-directory> [options]

Takes over the originals of a Reticulum node, straight into the store of a Darkroom node, which may run meanwhile or
not. Each is checked and decoded first. Afterwards its SHA-1, by which Reticulum knew it, answers as well as its new
id. The directory is only read. May be ended at any moment; run again, it goes on where it was.

  --reticulum <folder>     UploadDirectory in Reticulum's configuration
  --concurrency <n>        originals at once, 1 to 64; default: the number of cores
  --dry-run                change nothing: read, check, and say what would be taken over
  --json                   print the report as one line of JSON
  --quiet                  print nothing but what could not be taken over
  --help                   print this

Environment: as the node has it. STORE and its credentials say where to, CACHE_DIR has room for what is under way,
INPUT_FORMATS and the limits (MAX_UPLOAD_BYTES, MAX_PIXELS, MAX_FRAMES) say what is taken.

Exit code: 0 all is there, 1 failed or interrupted, 2 wrong options or settings, 3 some were refused or are damaged.
`

export interface ImportOptions {
  readonly folder: string
  readonly concurrency: number
  readonly dryRun: boolean
  readonly json: boolean
  readonly quiet: boolean
}

export type ImportCommand =
  | { readonly kind: 'import'; readonly options: ImportOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'usage'; readonly problems: readonly string[] }

const FLAGS = {
  reticulum: { type: 'string' },
  concurrency: { type: 'string' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

/** Reads the command line. @returns All mistakes together, if there are any. */
export function parseCommand(args: readonly string[]): ImportCommand {
  const problems: string[] = []
  const given = readFlags(FLAGS, args, problems)
  if (given.has('help')) return { kind: 'help' }
  const folder = given.get('reticulum')
  if (folder === undefined) problems.push('--reticulum: say which folder, UploadDirectory in its configuration')
  const concurrency = given.get('concurrency') ?? String(availableParallelism())
  if (!/^(?:[1-9]|[1-5]\d|6[0-4])$/.test(concurrency)) {
    problems.push(`--concurrency: "${concurrency}" is not a whole number from 1 to 64`)
  }
  if (problems.length > 0 || folder === undefined) return { kind: 'usage', problems }
  return {
    kind: 'import',
    options: {
      folder: resolve(folder),
      concurrency: Number(concurrency),
      dryRun: given.has('dry-run'),
      json: given.has('json'),
      quiet: given.has('quiet'),
    },
  }
}
