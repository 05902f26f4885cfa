import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { bucketVariables, loadBuckets } from '../../src/config/buckets-file.ts'
import { type Config, ConfigError, loadConfig } from '../../src/config/env.ts'
import { loadSinks } from '../../src/config/sinks-file.ts'
import { atStart } from '../../src/node/start-trouble.ts'
import { becomeOwner } from '../become-owner.ts'
import type { DoctorOptions } from '../doctor-options.ts'
import { TimeLimitError, withTimeLimit } from '../time-limit.ts'
import { accessTimesCheck } from './access-times.ts'
import { cacheFolderCheck } from './cache-folder.ts'
import { cachePermissionsCheck } from './cache-permissions.ts'
import type { Check, Checked } from './check.ts'
import { type Finding, failure, ok, type Result, reasonOf } from './finding.ts'
import { diskCheck, openFilesCheck } from './limits.ts'
import { storeCheck } from './store.ts'

/** Longer than each check takes, with the time limits of its calls. */
const TIMEOUT_MS = 30_000
/** A disk that spins up, or an automounted one, takes some seconds. */
const DISK_TIMEOUT_MS = 8000

/** The checks of a stage run at the same time. The first one creates folders in the cache that others use. */
const LOCAL_STAGES: readonly (readonly Check[])[] = [
  [cacheFolderCheck],
  [storeCheck, cachePermissionsCheck, accessTimesCheck, diskCheck, openFilesCheck],
]

/** Imported only here: with --local, a node waits for the doctor at each start. */
async function stagesOf({ local }: DoctorOptions): Promise<readonly (readonly Check[])[]> {
  if (local) return LOCAL_STAGES
  const { NETWORK_STAGES } = await import('./network-checks.ts')
  return [...LOCAL_STAGES, ...NETWORK_STAGES]
}

/** Looks at the settings, and then at all that they name. */
export async function runChecks(options: DoctorOptions): Promise<readonly Finding[]> {
  process.chdir(resolve(import.meta.dirname, '../..'))
  const settings = await loadSettings()
  const findings: Finding[] = settings.results.map((result) => ({ check: 'settings', ...result }))
  if (settings.loaded === undefined) return findings
  const checked = { ...options, ...settings.loaded }
  const folders = foldersOf(checked.config)
  const hung = (await Promise.all(folders.map(hungFolder))).flat()
  // The calls of the other checks would wait for these folders too.
  if (hung.length > 0) return [...findings, ...hung]
  becomeOwner(...folders.map(({ path }) => path))
  for (const stage of await stagesOf(options)) {
    findings.push(...(await Promise.all(stage.map((check) => findingsOf(check, checked)))).flat())
  }
  return findings
}

interface Folder {
  readonly setting: string
  readonly path: string
}

/** A file store first: the doctor of root becomes the owner of the first folder that exists. */
function foldersOf({ STORE, CACHE_DIR }: Config): readonly Folder[] {
  const store = STORE.startsWith('file:') ? [{ setting: 'STORE', path: resolve(STORE.slice('file:'.length)) }] : []
  return [...store, { setting: 'CACHE_DIR', path: resolve(CACHE_DIR) }]
}

async function hungFolder({ setting, path }: Folder): Promise<readonly Finding[]> {
  try {
    await withTimeLimit(DISK_TIMEOUT_MS, stat(path))
  } catch (error) {
    if (!(error instanceof TimeLimitError)) return []
    const fix = 'Check the server of the mount, or unmount it (umount --lazy).'
    return [
      { check: 'disk', ...failure(`The file system of ${setting} (${path}) does not respond: ${error.message}.`, fix) },
    ]
  }
  return []
}

interface LoadedSettings {
  readonly results: readonly Result[]
  /** Absent: the settings are invalid. */
  readonly loaded?: Pick<Checked, 'config' | 'buckets' | 'sinks'>
}

async function loadSettings(): Promise<LoadedSettings> {
  const path = process.env['BUCKETS_FILE'] ?? ''
  const place = { name: 'BUCKETS_FILE', path, example: '/etc/darkroom-buckets.yaml' }
  const sinksPath = process.env['SINKS_FILE'] ?? ''
  const sinksPlace = { name: 'SINKS_FILE', path: sinksPath, example: '/etc/darkroom-sinks.yaml' }
  try {
    const used = [await atStart(place, bucketVariables(path)), await atStart(sinksPlace, bucketVariables(sinksPath))]
    const config = loadConfig(process.env, new Set(used.flatMap((names) => [...names])))
    const buckets = await atStart(place, loadBuckets(config.BUCKETS_FILE, process.env))
    const sinks = await atStart(sinksPlace, loadSinks(config.SINKS_FILE, process.env))
    return { results: [ok('The settings are valid.')], loaded: { config, buckets, sinks } }
  } catch (error) {
    if (!(error instanceof ConfigError)) return { results: [failure(`${reasonOf(error)}.`, fixOf('BUCKETS_FILE'))] }
    return { results: error.message.split('\n').map((line) => failure(`${line}.`, fixOf(line))) }
  }
}

/** @param mistake Begins with the name of its setting. */
function fixOf(mistake: string): string {
  const [setting = ''] = mistake.split(/[:.]/)
  if (setting === 'BUCKETS_FILE') return 'Correct the file that BUCKETS_FILE names; docs/buckets.md describes it.'
  if (setting === 'SINKS_FILE')
    return 'Correct the file that SINKS_FILE names, or its variables; docs/events.md describes it.'
  return `Correct ${setting} in the environment of the node (/etc/darkroom.env); docs/settings.md has the allowed values.`
}

async function findingsOf(check: Check, checked: Checked): Promise<readonly Finding[]> {
  const results = await withTimeLimit(TIMEOUT_MS, check.run(checked)).catch((error: unknown) => [
    failure(
      `The check failed: ${reasonOf(error)}.`,
      'Check whether a file system or a server hangs; if the doctor itself is at fault, report this message.',
    ),
  ])
  return results.map((result) => ({ check: check.name, ...result }))
}
