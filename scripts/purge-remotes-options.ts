import type { ParseArgsOptionsConfig } from 'node:util'
import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import { readFlags } from './read-flags.ts'

export const USAGE = `Usage: scripts/purge-remotes [options]

Deletes remote images from the store until all of them together fit, those first that nobody has asked for the longest.
Safe at any time, also while nodes serve: an image that is asked for again is fetched again from its host.

  --max-bytes <amount>   keep to this much in the store (500M, 10G); default: REMOTE_MAX_BYTES
  --dry-run              delete nothing, say what would be deleted
  --json                 print the report as one line of JSON
  --quiet                print nothing if all went well
  --help                 print this

Environment: as the node has it. STORE and its credentials say where, REMOTE_MAX_BYTES how much may stay.

Exit code: 0 done, 1 failed or interrupted, 2 wrong options or settings.
`

export interface PurgeRemotesOptions {
  /** Absent: as the settings have it. */
  readonly maxBytes?: number
  readonly dryRun: boolean
  readonly json: boolean
  readonly quiet: boolean
}

export type PurgeRemotesCommand =
  | { readonly kind: 'purge'; readonly options: PurgeRemotesOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'usage'; readonly problems: readonly string[] }

const FLAGS = {
  'max-bytes': { type: 'string' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

/** Reads the command line. @returns All mistakes together, if there are any. */
export function parseCommand(args: readonly string[]): PurgeRemotesCommand {
  const problems: string[] = []
  const given = readFlags(FLAGS, args, problems)
  if (given.has('help')) return { kind: 'help' }
  const text = given.get('max-bytes')
  const maxBytes = text === undefined ? undefined : parseByteAmount(text)
  if (text !== undefined && maxBytes === undefined) {
    problems.push(`--max-bytes: "${text}" is not an amount like 500M or 10G; 0 deletes all`)
  }
  if (problems.length > 0) return { kind: 'usage', problems }
  return {
    kind: 'purge',
    options: {
      ...(maxBytes !== undefined && { maxBytes }),
      dryRun: given.has('dry-run'),
      json: given.has('json'),
      quiet: given.has('quiet'),
    },
  }
}
