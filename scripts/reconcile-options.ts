import {
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

export const USAGE = `Usage: scripts/reconcile [options]

Finds images without an event in the outbox, and reports them to the consumers of the feed and of sinks. Every
night one of the nodes does the same by itself. The command is safe while nodes serve, may be interrupted, and
may be repeated: the same image has the same event, which consumers ignore if they have processed it.

  --all       check all images, not only those since the last time. Once, for images that were stored by a version
              without events; events older than EVENTS_KEEP_DAYS are then reported again
  --dry-run   only count them
  --json      print the report as one line of JSON
  --quiet     print nothing on success
  --help      print this help

Environment: the settings of the node (docs/settings.md). STORE and its credentials select the store.

Exit code: 0 success; 1 failed or interrupted; 2 invalid options or settings.
`

export interface ReconcileOptions extends ReportOptions {
  readonly all: boolean
}

const FLAGS = { all: { type: 'boolean' }, ...REPORT_FLAGS } as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parseReconcile(args: readonly string[]): ParsedCommand<ReconcileOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line) => ({
    all: line.given.has('all'),
    ...readReportOptions(line),
  }))
}
