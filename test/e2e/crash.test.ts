import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type CrashReport, surviveCrashes } from '../support/crash.ts'
import { fileCrashStore, s3CrashStore } from '../support/crash-stores.ts'
import { temporaryFolder } from '../support/site.ts'

// `npm run crash -- --rounds 1000` does the same for longer.

test('kill -9 forty times during uploads and renders, with the embedded store: nothing acknowledged is lost, nothing is broken', {
  timeout: 300_000,
}, async (t) => {
  const folder = await temporaryFolder(t)
  const store = fileCrashStore(join(folder, 'data'))
  tell(t, await surviveCrashes({ rounds: 40, seed: 7, cacheDir: join(folder, 'cache'), ...store }))
})

test('kill -9 ten times during uploads and renders, with an S3 server: nothing acknowledged is lost, nothing is broken', async (t) => {
  const store = await s3CrashStore()
  t.after(store.close)
  const cacheDir = join(await temporaryFolder(t), 'cache')
  tell(t, await surviveCrashes({ rounds: 10, seed: 11, cacheDir, ...store }))
})

function tell(t: TestContext, { acknowledged, repeated, shown, files, startMs }: CrashReport): void {
  t.diagnostic(
    `${acknowledged} uploads acknowledged, ${repeated} repeated after a crash, ${shown} pictures shown, ` +
      `${files} files checked; starts took ${Math.round(startMs)} ms at most`,
  )
}
