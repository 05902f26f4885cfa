import { statSync } from 'node:fs'
import { totalmem } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createDiskSpool } from '../src/adapters/cache/disk-spool.ts'
import { createReticulumFolder } from '../src/adapters/reticulum/reticulum-folder.ts'
import { bucketVariables } from '../src/config/buckets-file.ts'
import { type Config, ConfigError, loadConfig } from '../src/config/env.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createRenderers, createStore, memoryCacheOf, prepareDisk } from '../src/node/outside.ts'
import { HungDiskError } from '../src/node/start-trouble.ts'
import { createAliasService } from '../src/service/library/alias-service.ts'
import { createImportService, type ImportReport, type ImportService } from '../src/service/library/import-service.ts'
import { createIngestService } from '../src/service/library/ingest-service.ts'
import { createWorkQueue } from '../src/service/load/work-queue.ts'
import { becomeOwner } from './become-owner.ts'
import { type ImportOptions, parseCommand, USAGE } from './import-options.ts'
import { lowerPriority } from './lower-priority.ts'

const EXIT = { done: 0, failed: 1, usage: 2, incomplete: 3 } as const
const BAR_WIDTH = 30
const ALIVE_MS = 60_000

/** Imports the originals of another service: see docs/reticulum.md. */
async function main(): Promise<number> {
  const command = parseCommand(process.argv.slice(2))
  if (command.kind === 'help') {
    process.stdout.write(USAGE)
    return EXIT.done
  }
  if (command.kind === 'usage') {
    for (const problem of command.problems) complain(problem)
    complain('--help lists the options')
    return EXIT.usage
  }
  // Renderers do not keep a process alive, and for a while they may be the only thing that it waits for.
  const alive = setInterval(() => {}, ALIVE_MS)
  try {
    return await importAll(command.options)
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
    // `process.exit` would wait for the thread that asks the disk.
    if (error instanceof HungDiskError) process.execve?.('/bin/sh', ['sh', '-c', `exit ${EXIT.failed}`], {})
    return error instanceof ConfigError ? EXIT.usage : EXIT.failed
  } finally {
    clearInterval(alive)
  }
}

async function importAll(options: ImportOptions): Promise<number> {
  // Paths in the settings are relative to the folder of Darkroom, as for the node.
  process.chdir(resolve(import.meta.dirname, '..'))
  const config = loadConfig(process.env, await bucketVariables(process.env['BUCKETS_FILE']))
  const { STORE, CACHE_DIR } = config
  becomeOwner(...(STORE.startsWith('file:') ? [STORE.slice('file:'.length)] : []), CACHE_DIR)
  assertFolder(options.folder)
  lowerPriority()
  const { importer, end } = await compose(config, options)
  try {
    const outcome = await runWithProgress(importer)
    const { found, damaged } = importer.progress()
    if (outcome === 'done' && found + damaged === 0) {
      throw new ConfigError(
        `--reticulum: ${options.folder} is not an UploadDirectory of Reticulum: no file full.<ext> is 20 folders below it`,
      )
    }
    return report(importer.progress(), outcome, options)
  } finally {
    await end()
  }
}

async function compose(config: Config, { folder, concurrency, dryRun }: ImportOptions) {
  const meter = { rendered() {}, fetched() {}, waited() {}, trouble: (message: string) => complain(message) }
  await prepareDisk(config)
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity)
  const engine = createRenderers({ ...config, RENDER_CONCURRENCY: concurrency }, meter, memoryBytes)
  await engine.ready()
  const store = await createStore(config)
  const aliases = createAliasService(store, config.MEMORY_CACHE_ENTRIES)
  const onTrouble = (error: unknown) => complain(error instanceof Error ? error.message : String(error))
  const ingest = createIngestService({
    store,
    spool: createDiskSpool({
      cacheDir: config.CACHE_DIR,
      maxMemoryBytes: memoryCacheOf(config, memoryBytes),
      onTrouble,
    }),
    engine,
    renderQueue: createWorkQueue({ name: 'a renderer', concurrency, maxWaiting: concurrency }),
    // Renditions, mezzanines and infos are left to the first request: most of an archive is never viewed.
    cache: { adoptOriginal: async () => undefined, hide: async () => [] },
    originals: { learn() {} },
    mezzanines: { make: async () => {} },
    infos: { make: async () => {} },
    watch: { sequence: 0, forgottenSince: () => false },
    maxUploadBytes: config.MAX_UPLOAD_BYTES,
    now: () => Date.now(),
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
async function runWithProgress(importer: ImportService): Promise<'done' | Error> {
  // A second signal ends the process at once; only the originals in progress are lost.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => importer.stop())
  const redraw = process.stderr.isTTY ? setInterval(() => drawProgress(importer), 200) : undefined
  try {
    await importer.run(new AbortController().signal)
    return 'done'
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    clearInterval(redraw)
    clearLine()
  }
}

function report(done: ReturnType<ImportService['progress']>, outcome: 'done' | Error, options: ImportOptions): number {
  const { doneShare: _doneShare, ...result } = done
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else if (!options.quiet) process.stdout.write(`${summary(result)}\n`)
  if (outcome !== 'done') complain(`${outcome.message}. Run the command again to resume`)
  if (outcome !== 'done' || result.stopped) return EXIT.failed
  return result.refused + result.damaged > 0 ? EXIT.incomplete : EXIT.done
}

function summary(result: ImportReport): string {
  const count = (files: number): string => files.toLocaleString('en')
  return (
    `import: ${result.stopped ? 'interrupted, ' : ''}${result.dryRun ? 'would import' : 'imported'} ` +
    `${count(result.imported)} (${formatByteAmount(result.importedBytes)}), already there ${count(result.alreadyThere)}, ` +
    `refused ${count(result.refused)}, damaged ${count(result.damaged)}, in ${result.seconds.toFixed(1)} s`
  )
}

function drawProgress(importer: ImportService): void {
  const { doneShare, found, imported, alreadyThere, refused, damaged } = importer.progress()
  const bar = '#'.repeat(Math.round(doneShare * BAR_WIDTH)).padEnd(BAR_WIDTH, '-')
  const counts = [found, imported, alreadyThere, refused + damaged].map((files) => files.toLocaleString('en'))
  const [all, taken, there, left] = counts
  process.stderr.write(
    `\r[${bar}] ${Math.floor(doneShare * 100)} % ${all} scanned: ${taken} imported, ${there} already there, ${left} refused or damaged\x1b[K`,
  )
}

function assertFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  throw new ConfigError(`--reticulum: the folder ${folder} does not exist or is not readable by this user`)
}

function complain(message: string): void {
  clearLine()
  process.stderr.write(`import: ${message}\n`)
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

process.exitCode = await main()
