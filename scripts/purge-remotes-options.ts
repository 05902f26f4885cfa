import type { ParseArgsOptionsConfig } from 'node:util'
import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import { readFlags } from './read-flags.ts'

export const USAGE = `Usage: scripts/purge-remotes [options]

Deletes the least recently requested remote images from the store until the remaining ones fit into a limit. The command
is safe while nodes serve: a deleted image is fetched from its host again on the next request.

  --max-bytes <bytes>    total size of remote images in the store, such as 500M or 10G; 0 deletes all; default:
                         REMOTE_MAX_BYTES
  --dry-run              report what would be deleted, without changes
  --json                 print the report as one line of JSON
  --quiet                print nothing on success
  --help                 print this help

Environment: the settings of the node (docs/settings.md). STORE and its credentials select the store.

Exit code: 0 success; 1 failed or interrupted; 2 invalid options or settings.
`

export interface PurgeRemotesOptions {
  /** Absent: the setting REMOTE_MAX_BYTES. */
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

/** Parses the command line. @returns the command, or all mistakes. */
export function parseCommand(args: readonly string[]): PurgeRemotesCommand {
  const problems: string[] = []
  const given = readFlags(FLAGS, args, problems)
  if (given.has('help')) return { kind: 'help' }
  const text = given.get('max-bytes')
  const maxBytes = text === undefined ? undefined : parseByteAmount(text)
  if (text !== undefined && maxBytes === undefined) {
    problems.push(`--max-bytes: "${text}" is not a number of bytes such as 500M or 10G; 0 deletes all`)
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
