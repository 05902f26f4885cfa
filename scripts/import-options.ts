import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import {
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

export const USAGE = `Usage: scripts/import --reticulum <folder> [options]

Imports the originals of a Reticulum node into the store of a Darkroom node, which may be running. Every original is
verified and decoded first. Its SHA-1, the id in Reticulum, becomes an alias of the new id. The folder of Reticulum is
only read. The command may be interrupted at any time; the next run resumes it.

  --reticulum <folder>     UploadDirectory of Reticulum's configuration; required
  --concurrency <n>        originals that are imported at the same time, 1 to 64; default: the number of CPU cores
  --dry-run                verify the originals and report what would be imported, without changes
  --json                   print the report as one line of JSON
  --quiet                  print only the originals that are refused or damaged
  --help                   print this help

Environment: the settings of the node (docs/settings.md). STORE and its credentials select the store; CACHE_DIR holds
temporary files; INPUT_FORMATS, MAX_UPLOAD_BYTES, MAX_PIXELS and MAX_FRAMES limit the originals that are accepted.

Exit code: 0 all originals are in the store; 1 failed or interrupted; 2 invalid options or settings; 3 originals were
refused or are damaged.
`

export interface ImportOptions extends ReportOptions {
  readonly folder: string
  readonly concurrency: number
}

const FLAGS = { reticulum: { type: 'string' }, concurrency: { type: 'string' }, ...REPORT_FLAGS } as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parseImport(args: readonly string[]): ParsedCommand<ImportOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line, problems) => {
    const folder = line.given.get('reticulum')
    if (folder === undefined)
      problems.push("--reticulum: is required, the UploadDirectory of Reticulum's configuration")
    const concurrency = line.given.get('concurrency') ?? String(availableParallelism())
    if (!/^(?:[1-9]|[1-5]\d|6[0-4])$/.test(concurrency)) {
      problems.push(`--concurrency: "${concurrency}" is not a whole number from 1 to 64`)
    }
    if (folder === undefined) return undefined
    return { folder: resolve(folder), concurrency: Number(concurrency), ...readReportOptions(line) }
  })
}
