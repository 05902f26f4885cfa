import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import {
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

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

export interface PurgeRemotesOptions extends ReportOptions {
  /** Absent: the setting REMOTE_MAX_BYTES. */
  readonly maxBytes?: number
}

const FLAGS = { 'max-bytes': { type: 'string' }, ...REPORT_FLAGS } as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parsePurgeRemotes(args: readonly string[]): ParsedCommand<PurgeRemotesOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line, problems) => {
    const text = line.given.get('max-bytes')
    const maxBytes = text === undefined ? undefined : parseByteAmount(text)
    if (text !== undefined && maxBytes === undefined) {
      problems.push(`--max-bytes: "${text}" is not a number of bytes such as 500M or 10G; 0 deletes all`)
    }
    return { ...(maxBytes !== undefined && { maxBytes }), ...readReportOptions(line) }
  })
}
