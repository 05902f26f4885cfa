import { join, relative, resolve } from 'node:path'
import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import { type CommandLine, type ParsedCommand, parseCommandLine } from './command-line.ts'

export const USAGE = `Usage: scripts/ingest --spool <folder> [options]

Uploads the images that other programs put into a folder, such as an FTP server or a scanner, to a Darkroom node. A file
is taken when it was renamed, or unchanged for two seconds. It must decode completely, and its container must end. It is
removed when the node has stored it; a file that the node rejects is moved to the quarantine, with the reason beside it.
The command runs until it is stopped, and may be killed at any time.

  --spool <folder>              the folder; its subfolders are the sources; required
  --url <url>                   the node, or a front of several nodes; default: DARKROOM_URL, or http://127.0.0.1:8080
  --sources <file>              labels and limits by source, in YAML
  --quarantine <folder>         for rejected files; default: .quarantine in the spool folder
  --quarantine-max-bytes <n>    the oldest files are deleted beyond this size; default: 1G
  --quarantine-max-days <n>     older files are deleted; default: 14
  --renamed                     all programs write aside and rename, as packaging/proftpd does: take files at once
  --concurrency <n>             uploads at the same time, 1 to 64; default: 4
  --scan-seconds <n>            interval of scans, for changes that inotify misses; default: 10
  --stale-minutes <n>           age of unfinished uploads (.in.*) that are deleted; default: 60
  --metrics <file>              write metrics for the textfile collector of Prometheus' node exporter
  --once                        end when all files that are there have been taken or rejected
  --json                        print each rejected file, and the summary at the end, as a line of JSON
  --help                        print this help

Environment: DARKROOM_TOKEN, an upload token of the node, or DARKROOM_TOKEN_FILE, a file with it.

Exit code: 0 success; 1 the node took no files (--once); 2 invalid options; 3 files were rejected (--once).
`

export interface IngestOptions {
  readonly spool: string
  readonly url: string
  readonly token: string
  readonly sourcesFile?: string
  readonly quarantine: string
  readonly quarantineMaxBytes: number
  readonly quarantineMaxDays: number
  readonly concurrency: number
  readonly scanSeconds: number
  readonly staleMinutes: number
  readonly metricsFile?: string
  /** No file is written in its place. */
  readonly renamed: boolean
  readonly once: boolean
  readonly json: boolean
}

const TEXT = { type: 'string' } as const
const SWITCH = { type: 'boolean' } as const
const FLAGS = {
  spool: TEXT,
  url: TEXT,
  sources: TEXT,
  quarantine: TEXT,
  'quarantine-max-bytes': TEXT,
  'quarantine-max-days': TEXT,
  concurrency: TEXT,
  'scan-seconds': TEXT,
  'stale-minutes': TEXT,
  metrics: TEXT,
  renamed: SWITCH,
  once: SWITCH,
  json: SWITCH,
} as const

export interface IngestEnvironment {
  readonly DARKROOM_URL?: string | undefined
  readonly DARKROOM_TOKEN?: string | undefined
  /** The value of DARKROOM_TOKEN_FILE if that file cannot be read. */
  readonly unreadableTokenFile?: string
}

/** Parses the command line. @returns the options, or all mistakes. */
export function parseIngest(args: readonly string[], env: IngestEnvironment): ParsedCommand<IngestOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line, problems) => {
    const number = numberReader(line, problems)
    const spool = line.given.get('spool')
    if (spool === undefined) problems.push('--spool: is required, the folder that the files are put into')
    const url = line.given.get('url') ?? env.DARKROOM_URL ?? 'http://127.0.0.1:8080'
    if (!isServerUrl(url)) problems.push(`--url: "${url}" should be a URL such as http://127.0.0.1:8080`)
    const token = env.DARKROOM_TOKEN ?? ''
    if (env.unreadableTokenFile !== undefined) {
      problems.push(`DARKROOM_TOKEN_FILE: ${env.unreadableTokenFile} cannot be read by this user`)
    } else if (token === '') problems.push('DARKROOM_TOKEN: is required, one of the UPLOAD_TOKENS of the node')
    const bytesText = line.given.get('quarantine-max-bytes') ?? '1G'
    const bytes = parseByteAmount(bytesText)
    if (bytes === undefined) {
      problems.push(`--quarantine-max-bytes: "${bytesText}" is not a number of bytes such as 500M or 10G`)
    }
    const options = {
      url: url.replace(/\/+$/, ''),
      token,
      quarantineMaxBytes: bytes ?? 0,
      quarantineMaxDays: number('quarantine-max-days', 14, [0, 3650]),
      concurrency: number('concurrency', 4, [1, 64]),
      scanSeconds: number('scan-seconds', 10, [1, 3600]),
      staleMinutes: number('stale-minutes', 60, [10, 10_080]),
      renamed: line.given.has('renamed'),
      once: line.given.has('once'),
      json: line.given.has('json'),
    }
    if (spool === undefined) return undefined
    const folder = resolve(spool)
    const quarantine = quarantineOf(line, folder)
    const inside = relative(folder, quarantine)
    if (inside === '' || /^[^.]/.test(inside)) {
      problems.push('--quarantine: should be outside of the spool folder, or a name in it that begins with a dot')
    }
    return { ...options, ...filesOf(line), spool: folder, quarantine }
  })
}

function quarantineOf({ given }: CommandLine, spool: string): string {
  const folder = given.get('quarantine')
  return folder === undefined ? join(spool, '.quarantine') : resolve(folder)
}

function filesOf({ given }: CommandLine): Pick<IngestOptions, 'sourcesFile' | 'metricsFile'> {
  const [sources, metrics] = [given.get('sources'), given.get('metrics')]
  return {
    ...(sources !== undefined && { sourcesFile: resolve(sources) }),
    ...(metrics !== undefined && { metricsFile: resolve(metrics) }),
  }
}

function numberReader({ given }: CommandLine, problems: string[]) {
  return (name: keyof typeof FLAGS, preset: number, [least, most]: readonly [number, number]): number => {
    const text = given.get(name) ?? String(preset)
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    problems.push(`--${name}: "${text}" is not a whole number from ${least} to ${most}`)
    return preset
  }
}

function isServerUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === ''
}
