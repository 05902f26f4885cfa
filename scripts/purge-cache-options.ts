import { resolve } from 'node:path'
import type { ParseArgsOptionsConfig } from 'node:util'
import { MIN_IDLE_DAYS, type SweepSettings } from '../src/domain/sweep/sweep-plan.ts'
import { parseByteAmount } from '../src/domain/text/byte-amount.ts'
import { readFlags } from './read-flags.ts'

export const USAGE = `Usage: scripts/purge-cache [options]

Removes what was not looked at for long from the cache of a Darkroom node, and the oldest of the rest
while the cache is over its budget. Safe at any time, also while the node serves from it.

  --cache-dir <folder>     the cache; default: CACHE_DIR, or cache in Darkroom's folder
  --max-idle-days <days>   remove what was not read for so long, at least ${MIN_IDLE_DAYS}; default: CACHE_MAX_IDLE_DAYS, or 30
  --max-bytes <amount>     keep to this much disk (500M, 10G); default: CACHE_MAX_BYTES, or a tenth of the disk
  --min-free <amount>      keep this much of the disk free (10G, or 5%; percent hold for inodes too);
                           default: CACHE_MIN_FREE_BYTES, or 5%
  --all                    remove every picture, whatever its age
  --dry-run                change nothing, say what would be removed
  --json                   print the report as one line of JSON
  --quiet                  print nothing if all went well
  --help                   print this

Exit code: 0 done, 1 failed or interrupted, 2 wrong options, 3 locked by another sweep, or not a cache.
`

export interface PurgeOptions {
  readonly cacheDir: string
  readonly settings: SweepSettings
  readonly all: boolean
  readonly dryRun: boolean
  readonly json: boolean
  readonly quiet: boolean
}

export type PurgeCommand =
  | { readonly kind: 'purge'; readonly options: PurgeOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'usage'; readonly problems: readonly string[] }

const FLAGS = {
  'cache-dir': { type: 'string' },
  'max-idle-days': { type: 'string' },
  'max-bytes': { type: 'string' },
  'min-free': { type: 'string' },
  all: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

type Environment = Readonly<Record<string, string | undefined>>

/** What the node reads too: the one place where its configuration comes in. */
const VARIABLES: Readonly<Record<string, string>> = {
  'cache-dir': 'CACHE_DIR',
  'max-idle-days': 'CACHE_MAX_IDLE_DAYS',
  'max-bytes': 'CACHE_MAX_BYTES',
  'min-free': 'CACHE_MIN_FREE_BYTES',
}

/**
 * Reads the command line; what it leaves open comes from the node's environment variables.
 *
 * @param home Darkroom's folder, to which the default of the cache folder is relative.
 * @returns All mistakes together, if there are any.
 */
export function parseCommand(args: readonly string[], env: Environment, home: string): PurgeCommand {
  const problems: string[] = []
  const given = readFlags(FLAGS, args, problems)
  if (given.has('help')) return { kind: 'help' }

  function read<T>(flag: string, parse: (text: string) => T | undefined, expected: string): T | undefined {
    const variable = VARIABLES[flag] ?? ''
    const text = given.get(flag) ?? env[variable]
    if (text === undefined || text === '') return undefined
    const value = parse(text)
    if (value === undefined) problems.push(`${given.has(flag) ? `--${flag}` : variable}: "${text}" is not ${expected}`)
    return value
  }

  const maxIdleDays = read('max-idle-days', parseIdleDays, `a number of days, at least ${MIN_IDLE_DAYS}`)
  const maxBytes = read('max-bytes', parsePositiveAmount, 'an amount like 500M or 10G')
  const minFree = read('min-free', parseMinFree, 'an amount like 500M, 10G or 5%')
  const cacheDir = read('cache-dir', (text) => resolve(text), 'a folder')
  if (problems.length > 0) return { kind: 'usage', problems }
  return {
    kind: 'purge',
    options: {
      cacheDir: cacheDir ?? resolve(home, 'cache'),
      settings: { maxIdleDays: maxIdleDays ?? 30, ...(maxBytes !== undefined && { maxBytes }), ...minFree },
      all: given.has('all'),
      dryRun: given.has('dry-run'),
      json: given.has('json'),
      quiet: given.has('quiet'),
    },
  }
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
