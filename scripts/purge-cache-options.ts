import { resolve } from 'node:path'
import { MIN_IDLE_DAYS, type SweepSettings } from '../src/domain/sweep/sweep-plan.ts'
import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import {
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

export const USAGE = `Usage: scripts/purge-cache [options]

Deletes idle files from the cache of a Darkroom node, and evicts further ones while the cache exceeds its limits: first
those that are large, were read rarely, and were last read long ago. The command is safe while the node serves from the
cache.

  --cache-dir <folder>     folder of the cache; default: CACHE_DIR, or cache in the folder of Darkroom
  --max-idle-days <days>   delete files that were not read for this time, at least ${MIN_IDLE_DAYS} days; default:
                           CACHE_MAX_IDLE_DAYS, or 30
  --max-bytes <bytes>      maximum size of the cache, such as 500M or 10G; default: CACHE_MAX_BYTES, or 10 % of the disk
  --min-free <bytes>       minimum free disk space, such as 10G or 5% (a percentage also applies to inodes); default:
                           CACHE_MIN_FREE_BYTES, or 5%
  --all                    delete every file, regardless of its age
  --dry-run                report what would be deleted, without changes
  --json                   print the report as one line of JSON
  --quiet                  print nothing on success
  --help                   print this help

Exit code: 0 success; 1 failed or interrupted; 2 invalid options; 3 another sweep holds the lock, or the folder is not
a cache.
`

export interface PurgeCacheOptions extends ReportOptions {
  readonly cacheDir: string
  readonly settings: SweepSettings
  readonly all: boolean
}

const FLAGS = {
  'cache-dir': { type: 'string' },
  'max-idle-days': { type: 'string' },
  'max-bytes': { type: 'string' },
  'min-free': { type: 'string' },
  all: { type: 'boolean' },
  ...REPORT_FLAGS,
} as const

type Environment = Readonly<Record<string, string | undefined>>

/** The settings of the node that are the defaults of the options. */
const VARIABLES: Readonly<Record<string, string>> = {
  'cache-dir': 'CACHE_DIR',
  'max-idle-days': 'CACHE_MAX_IDLE_DAYS',
  'max-bytes': 'CACHE_MAX_BYTES',
  'min-free': 'CACHE_MIN_FREE_BYTES',
}

/**
 * Parses the command line. The default of an option is the setting of the node.
 *
 * @param home Folder of Darkroom, which the default cache folder is relative to.
 * @returns the options, or all mistakes.
 */
export function parsePurgeCache(
  args: readonly string[],
  env: Environment,
  home: string,
): ParsedCommand<PurgeCacheOptions> {
  return parseCommandLine(args, { flags: FLAGS }, (line, problems) => {
    function read<T>(flag: string, parse: (text: string) => T | undefined, expected: string): T | undefined {
      const variable = VARIABLES[flag] ?? ''
      const text = line.given.get(flag) ?? env[variable]
      if (text === undefined || text === '') return undefined
      const value = parse(text)
      const name = line.given.has(flag) ? `--${flag}` : variable
      if (value === undefined) problems.push(`${name}: "${text}" is not ${expected}`)
      return value
    }

    const maxIdleDays = read('max-idle-days', parseIdleDays, `a number of days, at least ${MIN_IDLE_DAYS}`)
    const maxBytes = read('max-bytes', parsePositiveAmount, 'a number of bytes such as 500M or 10G')
    const minFree = read('min-free', parseMinFree, 'a number of bytes such as 500M or 10G, or a percentage such as 5%')
    return {
      cacheDir: read('cache-dir', (text) => resolve(text), 'a folder') ?? resolve(home, 'cache'),
      settings: { maxIdleDays: maxIdleDays ?? 30, ...(maxBytes !== undefined && { maxBytes }), ...minFree },
      all: line.given.has('all'),
      ...readReportOptions(line),
    }
  })
}

function parsePositiveAmount(text: string): number | undefined {
  const bytes = parseByteAmount(text)
  return bytes === 0 ? undefined : bytes
}

function parseIdleDays(text: string): number | undefined {
  const days = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0
  return days >= MIN_IDLE_DAYS ? days : undefined
}

function parseMinFree(text: string): Pick<SweepSettings, 'minFreeBytes' | 'minFreePercent'> | undefined {
  const [, percent] = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text) ?? []
  if (percent !== undefined) return { minFreePercent: Number(percent) }
  const minFreeBytes = parseByteAmount(text)
  return minFreeBytes === undefined ? undefined : { minFreeBytes }
}
