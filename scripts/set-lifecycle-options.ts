import {
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

export const USAGE = `Usage: scripts/set-lifecycle [options]

Lets the bucket of STORE delete shared renditions (SHARE_RENDITIONS) by itself: sets a lifecycle rule named
darkroom-renditions for the prefix renditions/, with SHARE_RENDITIONS_DAYS + 1 days. Rules with other names are
kept. Run it once for each bucket, and again after a change of SHARE_RENDITIONS_DAYS.

  --dry-run   only report whether the rule would be changed
  --json      print the report as one line of JSON
  --quiet     print nothing on success
  --help      print this help

Environment: the settings of the node (docs/settings.md). The credentials need s3:GetLifecycleConfiguration and
s3:PutLifecycleConfiguration, which a node does not need.

Exit code: 0 success; 1 failed or interrupted; 2 invalid options or settings.
`

/** Parses the command line. @returns the options, or all mistakes. */
export function parseSetLifecycle(args: readonly string[]): ParsedCommand<ReportOptions> {
  return parseCommandLine(args, { flags: REPORT_FLAGS }, readReportOptions)
}
