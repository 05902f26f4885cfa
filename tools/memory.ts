// The body of `npm run memory`: requests images that do not exist, and measures the memory of the node.

import { megabytes } from './commands/megabytes.ts'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { type MissingReport, requestMissing } from './memory/missing-memory.ts'
import { createScope } from './processes/scope.ts'
import { shareS3Server, startS3Server } from './s3/start-s3-server.ts'

const USAGE = `Usage: npm run memory [-- <options>]

Requests many distinct images that do not exist, and many sizes of one picture, and verifies that the memory of the node
stays bounded. Requires root, for a cgroup.

  --count 200000  number of requests of each kind: missing ids, missing keys of a bucket, missing remote URLs, sizes
  --limit 512     memory limit of the node and its renderers, in MiB
  --help          print this help

Prints the resident memory (RSS) of the node process before, at its peak and after. Exit code: 0 the node survived and
its memory returned to within 50 MB of the start; 1 it did not; 2 the command could not run.
`

const MB = 1e6
const MIB = 2 ** 20
const GROWTH_BYTES = 50 * MB

/** @returns The exit code. */
function judge({ startBytes, peakBytes, endBytes, oomKills, problem }: MissingReport): number {
  const grownBytes = endBytes - startBytes
  const figures = [`${megabytes(startBytes)} before`, `${megabytes(peakBytes)} at its peak`]
  if (problem !== undefined) {
    say(`RSS: ${figures.join(', ')}; OOM kills: ${oomKills}`)
    say(`failed: ${problem}`)
    return 1
  }
  say(`RSS: ${figures.join(', ')}, ${megabytes(endBytes)} after; OOM kills: ${oomKills}`)
  if (grownBytes <= GROWTH_BYTES && oomKills === 0) return 0
  say(`failed: RSS grew by ${megabytes(grownBytes)}; the limit is ${megabytes(GROWTH_BYTES)}`)
  return 1
}

await runTool({
  name: 'memory',
  usage: USAGE,
  options: { count: { type: 'string', default: '200000' }, limit: { type: 'string', default: '512' } },
  async run(values) {
    const count = wholeNumber('count', values.count)
    const limitBytes = wholeNumber('limit', values.limit) * MIB
    const scope = createScope()
    const server = await startS3Server('seaweedfs')
    try {
      shareS3Server(server)
      return judge(await requestMissing(scope, { count, limitBytes, growthBytes: GROWTH_BYTES, say }))
    } finally {
      await scope.close()
      await server.stop()
    }
  },
})
