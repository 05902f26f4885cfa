import { readFileSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createQuarantine, type QuarantineFolder } from '../src/adapters/spool/quarantine.ts'
import { createSpoolFolder } from '../src/adapters/spool/spool-folder.ts'
import { createUploadClient } from '../src/adapters/upload-client/upload-client.ts'
import { ConfigError } from '../src/config/env.ts'
import { loadIntakeRules, NO_INTAKE_RULES } from '../src/config/intake-file.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createFileMemory } from '../src/service/intake/file-memory.ts'
import { createIntakeService, type IntakeService, type Left } from '../src/service/intake/intake-service.ts'
import { runIntake } from '../src/service/intake/run-intake.ts'
import { createTakeFile, type TakeFileOptions } from '../src/service/intake/take-file.ts'
import { writeMetrics } from './doctor-metrics.ts'
import { ingestMetrics } from './ingest-metrics.ts'
import { type IngestEnvironment, type IngestOptions, parseIngest, USAGE } from './ingest-options.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

/** Files were rejected. */
const REJECTED = 3
const SETTLE_MS = 2000
const PATIENCE_MS = 60_000
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

async function ingest(options: IngestOptions, complain: Complain): Promise<number> {
  if (statSync(options.spool, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new ConfigError(`--spool: the folder ${options.spool} does not exist or is not readable by this user`)
  }
  const stopping = new AbortController()
  // A second signal ends the process at once, which is safe too.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const { intake, quarantine, spool, close } = await compose(options, complain)
  const report = passReporter({ options, intake, quarantine, complain })
  const left = await runIntake(
    {
      intake,
      spool,
      scanMs: options.scanSeconds * 1000,
      once: options.once,
      onPass: report,
      onTrouble: (error) => complain(messageOf(error)),
      pause,
      random: Math.random,
    },
    stopping.signal,
  )
  close()
  summarize(intake, left, options)
  if (!options.once) return EXIT.done
  if (left?.files !== 0) return EXIT.failed
  return intake.counts().rejected > 0 ? REJECTED : EXIT.done
}

async function compose(options: IngestOptions, complain: Complain) {
  const { spool: root, url, token, concurrency } = options
  const now = () => Date.now()
  const onTrouble = (path: string, error: unknown) => complain(`${path}: ${messageOf(error)}`)
  const rules = options.sourcesFile === undefined ? NO_INTAKE_RULES : await loadIntakeRules(options.sourcesFile)
  const spool = createSpoolFolder({ root, staleMs: options.staleMinutes * MINUTE_MS, onTrouble, now })
  const limits = { maxBytes: options.quarantineMaxBytes, maxAgeMs: options.quarantineMaxDays * DAY_MS }
  const quarantine = await createQuarantine(options.quarantine, { ...limits, now })
  const uploads = createUploadClient({ url, token, concurrency })
  const memory = createFileMemory({ settleMs: options.renamed ? 0 : SETTLE_MS, now })
  const onRejected = rejectionReporter(options, complain)
  const takeFile = createTakeFile({
    spool,
    quarantine,
    uploads,
    memory,
    rules: rules.sources,
    otherwise: rules.otherwise,
    patienceMs: options.renamed ? 0 : PATIENCE_MS,
    onRejected,
    now,
  })
  const intake = createIntakeService({ spool, quarantine, takeFile, memory, concurrency, onTrouble, now })
  return { intake, quarantine, spool, close: () => uploads.close() }
}

function rejectionReporter({ json }: IngestOptions, complain: Complain): TakeFileOptions<never>['onRejected'] {
  return (file, { code: error, message, source, fate }) => {
    if (json) process.stdout.write(`${JSON.stringify({ rejected: file, source, error, message, fate })}\n`)
    else
      complain(`${file}: rejected (${error}): ${message}${fate === 'deleted' ? '; too large for the quarantine' : ''}`)
  }
}

interface Reporting {
  readonly options: IngestOptions
  readonly intake: IntakeService
  readonly quarantine: QuarantineFolder
  readonly complain: Complain
}

/** Tells of an unavailable node once, and of its return. */
function passReporter({ options, intake, quarantine, complain }: Reporting): (left: Left) => void {
  let told: string | undefined
  return (left) => {
    const message = left.unavailable?.message
    if (message !== undefined && message !== told) complain(`${message}; files stay in the spool folder meanwhile`)
    if (message === undefined && told !== undefined) complain('the node takes files again')
    told = message
    if (options.metricsFile === undefined) return
    const text = ingestMetrics(intake.counts(), left, quarantine.use(), Date.now())
    writeMetrics(options.metricsFile, text).catch((error: unknown) => complain(`--metrics: ${messageOf(error)}`))
  }
}

function summarize(intake: IntakeService, left: Left | undefined, { json }: IngestOptions): void {
  const { stored, storedBytes, rejected } = intake.counts()
  const files = left?.files
  if (json) process.stdout.write(`${JSON.stringify({ stored, storedBytes, rejected, left: files })}\n`)
  else {
    const amount = `${stored.toLocaleString('en')} files (${formatByteAmount(storedBytes)})`
    process.stdout.write(
      `ingest: stored ${amount}, rejected ${rejected.toLocaleString('en')}, left ${files ?? 'unknown'}\n`,
    )
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The token is not an option: everybody can read the command lines of a machine. */
function environment(): IngestEnvironment {
  const { DARKROOM_URL, DARKROOM_TOKEN, DARKROOM_TOKEN_FILE } = process.env
  if (DARKROOM_TOKEN || !DARKROOM_TOKEN_FILE) return { DARKROOM_URL, DARKROOM_TOKEN }
  try {
    return { DARKROOM_URL, DARKROOM_TOKEN: readFileSync(DARKROOM_TOKEN_FILE, 'utf8').trim() }
  } catch {
    return { DARKROOM_URL, unreadableTokenFile: DARKROOM_TOKEN_FILE }
  }
}

/** Intake of files from a spool folder: see docs/intake.md. */
await runCommand({
  name: 'ingest',
  usage: USAGE,
  parse: (args) => parseIngest(args, environment()),
  run: ingest,
  explain: (error) => (error instanceof ConfigError ? { reason: 'failed', exitCode: EXIT.usage } : undefined),
})
