import { parseArgs } from 'node:util'
import { startNode } from './compose.ts'
import { ConfigError, describeConfig, loadConfig } from './config.ts'

const HELP = `Darkroom keeps originals in an S3-compatible store and serves them at any size by URL.

Usage: npm start            serves
       npm start -- --help  prints this

Settings are environment variables. Sizes in bytes may be written 64M or 2G.

${describeConfig()}
`

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const node = await startNode(loadConfig(process.env))
  let stopping = false
  const stop = () => {
    // A second signal is for those who cannot wait.
    if (stopping) process.exit(1)
    stopping = true
    void node.stop().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

main().catch((error: unknown) => {
  const message = error instanceof ConfigError ? `These settings are wrong:\n${error.message}` : error
  process.stderr.write(`${message instanceof Error ? (message.stack ?? message.message) : String(message)}\n`)
  process.exitCode = error instanceof ConfigError || isUsageError(error) ? 2 : 1
})

function isUsageError(error: unknown): boolean {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}
