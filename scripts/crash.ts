// The body of `npm run crash`: kills a node again and again and looks whether anything was lost or broken.
//
//   node scripts/crash.ts [--rounds 1000] [--seed 1] [--store file|s3]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { surviveCrashes } from '../test/support/crash.ts'
import { fileCrashStore, s3CrashStore } from '../test/support/crash-stores.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    store: { type: 'string', default: 'file' },
  },
})
const folder = await mkdtemp(join(tmpdir(), 'darkroom-crash-'))
try {
  const store = values.store === 's3' ? await s3CrashStore() : fileCrashStore(join(folder, 'data'))
  const report = await surviveCrashes({
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    cacheDir: join(folder, 'cache'),
    ...store,
    onRound: (round) => round % 10 === 0 && process.stderr.write(`${round} rounds\n`),
  })
  process.stdout.write(`${JSON.stringify({ ...values, ...report })}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
