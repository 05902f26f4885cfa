import { totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { bucketVariables, loadBuckets } from './config/buckets-file.ts'
import { ConfigError, loadConfig } from './config/env.ts'
import { formatSettings } from './config/help.ts'
import { loadSinks } from './config/sinks-file.ts'
import { mostFilesPerPicture } from './config/size-policy.ts'
import { startNode } from './node/start.ts'
import { atStart, endDespiteHungThreads, HungDiskError, PassingError } from './node/start-trouble.ts'

const HELP = `Darkroom stores original images in an S3-compatible object store and serves them at any size by URL.

Usage: npm start            start the server
       npm start -- --help  print this help

Settings are environment variables; an empty variable counts as unset. K, M, G and T are powers of 1024.
docs/settings.md contains the same list.


${formatSettings()}
`

/** `mistake`: the settings or the machine need an operator, and another start would end in the same way. */
const EXIT = { failed: 1, mistake: 2 } as const
/** Two signals within this time count as one request to stop. */
const SAME_SIGNAL_MS = 500

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) {
    process.stdout.write(HELP + stepsNote())
    return
  }
  const path = process.env['BUCKETS_FILE'] ?? ''
  const place = { name: 'BUCKETS_FILE', path, example: '/etc/darkroom-buckets.yaml' }
  const sinksPath = process.env['SINKS_FILE'] ?? ''
  const sinksPlace = { name: 'SINKS_FILE', path: sinksPath, example: '/etc/darkroom-sinks.yaml' }
  const used = new Set([
    ...(await atStart(place, bucketVariables(path))),
    ...(await atStart(sinksPlace, bucketVariables(sinksPath))),
  ])
  const config = loadConfig(process.env, used)
  const buckets = await atStart(place, loadBuckets(config.BUCKETS_FILE, process.env))
  const sinks = await atStart(sinksPlace, loadSinks(config.SINKS_FILE, process.env))
  const node = await startNode(
    config,
    { buckets, sinks },
    { memoryBytes: availableBytes(), nodeVersion: process.versions.node },
  )
  process.stderr.write(node.greeting(process.stderr.isTTY))
  let stoppingSince: number | undefined
  const stop = () => {
    // npm forwards the SIGINT of Ctrl-C, which the terminal has also sent to this process: that is one request to stop.
    if (stoppingSince !== undefined && performance.now() - stoppingSince < SAME_SIGNAL_MS) return
    // A second request ends the process at once.
    if (stoppingSince !== undefined) process.exit(EXIT.failed)
    stoppingSince = performance.now()
    void node.stop().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** The bound of the settings in the environment, which `--help` is asked for with. */
function stepsNote(): string {
  const most = mostFilesPerPicture(process.env)
  if (process.env['SIZE_POLICY'] !== 'steps' || most === undefined) return ''
  return `\nWith SIZE_POLICY=steps, SIZE_STEPS, SIZES and MAX_SIDE as set here, one picture has at most ${most} files in the cache.\n`
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`)
  process.exitCode = error instanceof ConfigError || isUsageError(error) ? EXIT.mistake : EXIT.failed
  if (error instanceof HungDiskError) endDespiteHungThreads(process, EXIT.failed)
})

/** Memory of the machine, or less if a container may have less. */
function availableBytes(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Infinity)
}

/** A mistake of the operator is reported in a line; anything else is a bug, reported with its stack. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof ConfigError) return `Invalid settings:\n${error.message}`
  if (isUsageError(error)) return `${error.message}\n--help lists the options and settings`
  return 'syscall' in error || error instanceof PassingError
    ? `Darkroom cannot start: ${error.message}`
    : (error.stack ?? error.message)
}

function isUsageError(error: unknown): boolean {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}
