import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { type CrashReport, surviveCrashes } from '../../tools/crash/crash.ts'
import { fileCrashStore, s3CrashStore } from '../../tools/crash/crash-stores.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

const TIMEOUT_MS = 300_000

// Nine times in all; `.ci/run` does it fifty times more, and `npm run crash -- --rounds 1000` for longer. A node takes most of its time to start, so that
// two series are no slower than one.
describe('kill -9 during uploads and renders: nothing acknowledged is lost, nothing is broken', {
  concurrency: 2,
}, () => {
  for (const seed of [7, 8]) {
    test(`five times with the embedded store, from seed ${seed}`, { timeout: TIMEOUT_MS }, async (t) => {
      const folder = await temporaryFolder(t)
      const store = fileCrashStore(join(folder, 'data'))
      tell(t, await surviveCrashes({ rounds: 3, seed, cacheDir: join(folder, 'cache'), ...store }))
    })
  }

  test('five times with an S3 server', { timeout: TIMEOUT_MS }, async (t) => {
    const store = await s3CrashStore()
    t.after(store.close)
    const cacheDir = join(await temporaryFolder(t), 'cache')
    tell(t, await surviveCrashes({ rounds: 3, seed: 11, cacheDir, ...store }))
  })
})

function tell(t: TestContext, { acknowledged, repeated, shown, files, startMs }: CrashReport): void {
  t.diagnostic(
    `${acknowledged} uploads acknowledged, ${repeated} repeated after a crash, ${shown} pictures shown, ` +
      `${files} files checked; starts took ${Math.round(startMs)} ms at most`,
  )
}
