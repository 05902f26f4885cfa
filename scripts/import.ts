import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { createDiskSpool } from '../src/adapters/cache/disk-spool.ts'
import { type Config, ConfigError } from '../src/config/env.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createRenderers, createStore, memoryCacheOf, prepareDisk } from '../src/node/outside.ts'
import { createDeletionGuard } from '../src/service/deletion/guard.ts'
import { createAliasService } from '../src/service/library/alias-service.ts'
import { createImportService, type ImportReport, type ImportService } from '../src/service/library/import-service.ts'
import { createIngestService } from '../src/service/library/ingest-service.ts'
import { createOutbox } from '../src/service/library/outbox.ts'
import { createWorkQueue } from '../src/service/load/work-queue.ts'
import type { ImportSource } from '../src/service/ports/originals.ts'
import { becomeOwner } from './become-owner.ts'
import { type ImportOptions, type ImportPlace, parseImport, USAGE } from './import-options.ts'
import { countBytes, nameOf, openSource, type SourceTotal } from './import-source.ts'
import { createImportState, type ImportState } from './import-state.ts'
import { lowerPriority } from './lower-priority.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { type Progress, runWithProgress } from './progress.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

/** Originals were refused or are damaged. */
const INCOMPLETE = 3
const ALIVE_MS = 60_000
const SAVE_MS = 1000
/** Before, the remaining time would be a guess. */
const LEAST_SECONDS = 3

async function keepAlive(work: Promise<number>): Promise<number> {
  // Renderers do not keep a process alive, and for a while they may be the only thing that it waits for.
  const alive = setInterval(() => {}, ALIVE_MS)
  try {
    return await work
  } finally {
    clearInterval(alive)
  }
}

async function importAll(options: ImportOptions, complain: Complain): Promise<number> {
  const config = await loadNodeSettings()
  const { STORE, CACHE_DIR } = config
  becomeOwner(...(STORE.startsWith('file:') ? [STORE.slice('file:'.length)] : []), CACHE_DIR)
  if (options.place.kind !== 'bucket') assertFolder(options.place)
  lowerPriority()
  const ending = new AbortController()
  const { source, close } = await openSource(options.place, config, ending.signal)
  const state = createImportState(nameOf(options.place), options.stateFile)
  const after = await state.load()
  const { importer, end } = await compose(
    config,
    { ...options, source, ...(after !== undefined && { after }) },
    complain,
  )
  // Reticulum's files are in the order of a hash, which tells the share.
  const total = options.place.kind === 'reticulum' ? undefined : countBytes(source, after, ending.signal)
  try {
    const outcome = await runToEnd(importer, total, state)
    const { found, damaged } = importer.progress()
    if (outcome === 'done' && found + damaged === 0 && after === undefined) throw nothingFound(options.place)
    return report(importer.progress(), outcome, { ...options, complain })
  } finally {
    ending.abort()
    await end()
    close()
  }
}

function nothingFound(place: ImportPlace): ConfigError {
  if (place.kind !== 'reticulum') return new ConfigError(`${nameOf(place)} contains no files`)
  return new ConfigError(
    `--reticulum: ${place.folder} is not an UploadDirectory of Reticulum: no file full.<ext> is 20 folders below it`,
  )
}

interface ComposeOptions extends ImportOptions {
  readonly source: ImportSource
  readonly after?: string
}

async function compose(config: Config, { concurrency, dryRun, ...options }: ComposeOptions, complain: Complain) {
  const meter = { rendered() {}, fetched() {}, waited() {}, trouble: complain }
  await prepareDisk(config)
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity)
  const engine = createRenderers({ ...config, RENDER_CONCURRENCY: concurrency }, meter, memoryBytes)
  await engine.ready()
  const store = await createStore(config)
  const aliases = createAliasService(store, config.MEMORY_CACHE_ENTRIES)
  const onTrouble = (error: unknown) => complain(error instanceof Error ? error.message : String(error))
  const now = () => Date.now()
  const ingest = createIngestService({
    store,
    outbox: createOutbox({ store, meter, now, node: randomBytes(4).toString('hex') }),
    spool: createDiskSpool({
      cacheDir: config.CACHE_DIR,
      maxMemoryBytes: memoryCacheOf(config, memoryBytes),
      onTrouble,
    }),
    engine,
    renderQueue: createWorkQueue({ name: 'a renderer', concurrency, maxWaiting: concurrency }),
    // Mezzanines and infos are left to the first request: most of an archive is never viewed.
    cache: { adoptOriginal: async () => undefined },
    originals: { learn() {} },
    guard: createDeletionGuard({
      watch: { sequence: 0, forgottenSince: () => false, hide: async () => {} },
    }),
    maxUploadBytes: config.MAX_UPLOAD_BYTES,
    now,
  })
  const importer = createImportService({
    ...options,
    maxUploadBytes: config.MAX_UPLOAD_BYTES,
    ingest,
    aliases,
    engine,
    concurrency,
    dryRun,
    onProblem: (path, problem) => complain(`${path}: ${problem}`),
    pause: (ms, signal) => delay(ms, undefined, { signal }),
  })
  const end = async () => {
    await engine.stop()
    store.close()
  }
  return { importer, end }
}

/** @returns 'done', or the failure. */
async function runToEnd(
  importer: ImportService,
  total: SourceTotal | undefined,
  state: ImportState,
): Promise<'done' | Error> {
  const save = async () => {
    const { doneUpTo, dryRun } = importer.progress()
    if (doneUpTo !== undefined && !dryRun) await state.save(doneUpTo)
  }
  // An outdated state costs repeated work only: the last save reports what fails.
  const saving = setInterval(() => void save().catch(() => {}), SAVE_MS)
  try {
    // A second signal ends the process at once; only the originals in progress are lost.
    await runWithProgress({
      run: () => importer.run(new AbortController().signal),
      stop: () => importer.stop(),
      progress: () => progressOf(importer, total?.bytes()),
    })
    await (importer.progress().stopped ? save() : state.clear())
    return 'done'
  } catch (error) {
    await save()
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    clearInterval(saving)
  }
}

function report(
  done: ReturnType<ImportService['progress']>,
  outcome: 'done' | Error,
  { json, quiet, complain }: ImportOptions & { readonly complain: Complain },
): number {
  const { doneShare: _doneShare, doneUpTo: _doneUpTo, doneBytes: _doneBytes, ...result } = done
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else if (!quiet) process.stdout.write(`${summary(result)}\n`)
  if (outcome !== 'done') complain(`${outcome.message}. Run the command again to resume`)
  if (outcome !== 'done' || result.stopped) return EXIT.failed
  return result.refused + result.damaged > 0 ? INCOMPLETE : EXIT.done
}

function summary(result: ImportReport): string {
  const count = (files: number): string => files.toLocaleString('en')
  return (
    `import: ${result.stopped ? 'interrupted, ' : ''}${result.dryRun ? 'would import' : 'imported'} ` +
    `${count(result.imported)} (${formatByteAmount(result.importedBytes)}), already there ${count(result.alreadyThere)}, ` +
    `refused ${count(result.refused)}, damaged ${count(result.damaged)}, in ${result.seconds.toFixed(1)} s`
  )
}

/** @param totalBytes Undefined while they are not counted, and for Reticulum. */
function progressOf(importer: ImportService, totalBytes: number | undefined): Progress {
  const { doneShare, doneBytes, found, imported, alreadyThere, refused, damaged, seconds } = importer.progress()
  const counts = [found, imported, alreadyThere, refused + damaged].map((files) => files.toLocaleString('en'))
  const [all, taken, there, left] = counts
  const share = doneShare ?? (totalBytes ? doneBytes / totalBytes : 0)
  const text = `${all} scanned: ${taken} imported, ${there} already there, ${left} refused or damaged`
  return { share, text: `${text}; ${(found / Math.max(seconds, 1)).toFixed(1)}/s${remaining(share, seconds)}` }
}

/** Known after some seconds. @returns such as ", 1:05:07 left". */
function remaining(share: number, seconds: number): string {
  if (share <= 0 || seconds < LEAST_SECONDS) return ''
  const left = Math.round((seconds / share) * (1 - share))
  const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60]
  return `, ${parts.map((part) => String(part).padStart(2, '0')).join(':')} left`
}

function assertFolder(place: Extract<ImportPlace, { folder: string }>): void {
  const { kind, folder } = place
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  const name = kind === 'reticulum' ? '--reticulum: ' : ''
  throw new ConfigError(`${name}the folder ${folder} does not exist or is not readable by this user`)
}

/** Imports a folder, a bucket or the originals of another service: see docs/intake.md and docs/reticulum.md. */
await runCommand({
  name: 'import',
  usage: USAGE,
  parse: parseImport,
  run: (options, complain) => keepAlive(importAll(options, complain)),
  explain: explainNodeFailure,
})
