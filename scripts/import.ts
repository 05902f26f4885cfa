import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { createDiskSpool } from '../src/adapters/cache/disk-spool.ts'
import { createReticulumFolder } from '../src/adapters/reticulum/reticulum-folder.ts'
import { type Config, ConfigError } from '../src/config/env.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createRenderers, createStore, memoryCacheOf, prepareDisk } from '../src/node/outside.ts'
import { createDeletionGuard } from '../src/service/deletion/guard.ts'
import { createAliasService } from '../src/service/library/alias-service.ts'
import { createImportService, type ImportReport, type ImportService } from '../src/service/library/import-service.ts'
import { createIngestService } from '../src/service/library/ingest-service.ts'
import { createOutbox } from '../src/service/library/outbox.ts'
import { createWorkQueue } from '../src/service/load/work-queue.ts'
import { becomeOwner } from './become-owner.ts'
import { type ImportOptions, parseImport, USAGE } from './import-options.ts'
import { lowerPriority } from './lower-priority.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { type Progress, runWithProgress } from './progress.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

/** Originals were refused or are damaged. */
const INCOMPLETE = 3
const ALIVE_MS = 60_000

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
  assertFolder(options.folder)
  lowerPriority()
  const { importer, end } = await compose(config, options, complain)
  try {
    const outcome = await runToEnd(importer)
    const { found, damaged } = importer.progress()
    if (outcome === 'done' && found + damaged === 0) {
      throw new ConfigError(
        `--reticulum: ${options.folder} is not an UploadDirectory of Reticulum: no file full.<ext> is 20 folders below it`,
      )
    }
    return report(importer.progress(), outcome, { ...options, complain })
  } finally {
    await end()
  }
}

async function compose(config: Config, { folder, concurrency, dryRun }: ImportOptions, complain: Complain) {
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
    source: createReticulumFolder(folder),
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
async function runToEnd(importer: ImportService): Promise<'done' | Error> {
  try {
    // A second signal ends the process at once; only the originals in progress are lost.
    await runWithProgress({
      run: () => importer.run(new AbortController().signal),
      stop: () => importer.stop(),
      progress: () => progressOf(importer),
    })
    return 'done'
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function report(
  done: ReturnType<ImportService['progress']>,
  outcome: 'done' | Error,
  { json, quiet, complain }: ImportOptions & { readonly complain: Complain },
): number {
  const { doneShare: _doneShare, ...result } = done
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

function progressOf(importer: ImportService): Progress {
  const { doneShare, found, imported, alreadyThere, refused, damaged } = importer.progress()
  const counts = [found, imported, alreadyThere, refused + damaged].map((files) => files.toLocaleString('en'))
  const [all, taken, there, left] = counts
  return {
    share: doneShare,
    text: `${all} scanned: ${taken} imported, ${there} already there, ${left} refused or damaged`,
  }
}

function assertFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  throw new ConfigError(`--reticulum: the folder ${folder} does not exist or is not readable by this user`)
}

/** Imports the originals of another service: see docs/reticulum.md. */
await runCommand({
  name: 'import',
  usage: USAGE,
  parse: parseImport,
  run: (options, complain) => keepAlive(importAll(options, complain)),
  explain: explainNodeFailure,
})
