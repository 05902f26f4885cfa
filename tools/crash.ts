// The body of `npm run crash`: kills a node again and again and verifies that no data is lost or damaged.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { surviveCrashes } from './crash/crash.ts'
import { fileCrashStore, s3CrashStore } from './crash/crash-stores.ts'

const USAGE = `Usage: npm run crash [-- <options>]

Kills a node with SIGKILL under mixed load, again and again, and verifies after each restart that no data is lost.

  --rounds 1000  number of kills
  --seed 1       seed of the random generator, which selects the moments of the kills
  --store file   file: the embedded store; s3: an S3 server
  --help         print this help

Prints the figures as JSON. Exit code: 0 no data was lost; 2 a round failed, with the reason on standard error.
`

await runTool({
  name: 'crash',
  usage: USAGE,
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    store: { type: 'string', default: 'file' },
  },
  async run(values) {
    const { store: kind } = values
    if (kind !== 'file' && kind !== 's3') throw new Error(`--store: "${kind}" should be file or s3`)
    const [rounds, seed] = [wholeNumber('rounds', values.rounds), wholeNumber('seed', values.seed)]
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-crash-'))
    const s3 = kind === 's3' ? await s3CrashStore() : undefined
    try {
      const report = await surviveCrashes({
        rounds,
        seed,
        cacheDir: join(folder, 'cache'),
        ...(s3 ?? fileCrashStore(join(folder, 'data'))),
        onRound: (round) => round % 10 === 0 && process.stderr.write(`${round} rounds\n`),
      })
      say(JSON.stringify({ rounds, seed, store: kind, ...report }))
      return 0
    } finally {
      s3?.close()
      await rm(folder, { recursive: true, force: true })
    }
  },
})
