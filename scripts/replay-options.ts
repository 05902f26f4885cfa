import { type ParsedCommand, parseCommandLine } from './command-line.ts'

export const USAGE = `Usage: scripts/replay [options] <sink>

Delivers events to a sink of SINKS_FILE again, or continues deliveries that the sink has stopped by the status 410. The
node that delivers begins within seconds. The sink ignores events that it has processed, by their ids.

  --since <time>    begin with the events of that time, such as 2026-11-30T20:00:00Z; at most EVENTS_KEEP_DAYS ago;
                    default: continue after the last event that was delivered or given up
  --help            print this help

Messages that were given up are below relay/dead/<sink>/ in the store; their keys begin with the time.

Environment: the settings of the node (docs/settings.md). STORE and its credentials select the store.

Exit code: 0 success; 1 failed; 2 invalid options or settings.
`

export interface ReplayOptions {
  readonly sink: string
  /** Milliseconds since 1970. Absent: continue. */
  readonly since?: number
}

const FLAGS = { since: { type: 'string' } } as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parseReplay(args: readonly string[]): ParsedCommand<ReplayOptions> {
  return parseCommandLine(args, { flags: FLAGS, hasOperands: true }, ({ given, operands }, problems) => {
    const [sink, ...others] = operands
    if (sink === undefined) problems.push('the name of a sink of SINKS_FILE is missing')
    problems.push(...others.map((operand) => `${operand}: unexpected argument`))
    const text = given.get('since')
    const since = text === undefined ? undefined : Date.parse(text)
    if (Number.isNaN(since)) problems.push(`--since: "${text}" is not a time such as 2026-11-30T20:00:00Z`)
    return sink === undefined ? undefined : { sink, ...(since !== undefined && { since }) }
  })
}
