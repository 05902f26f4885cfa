// The body of `npm run rollback`: an older version on the store and the cache of this one, and this one on the older one's.
import { AssertionError } from 'node:assert'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { runTool, say } from './commands/run-tool.ts'
import { inScope, type Scope } from './processes/scope.ts'
import { installVersion } from './rollback/install-version.ts'
import { type Leg, relay, type Version } from './rollback/relay.ts'
import { shareS3Server, startS3Server } from './s3/start-s3-server.ts'
import { fixture } from './servers/darkroom.ts'
import { startRemoteSite } from './servers/remote-site.ts'
import { newStore } from './servers/site.ts'

const USAGE = `Usage: npm run rollback -- --to <commit>

Starts this version and an older one in turn on one store and one cache: new, old, new, and then old, new, old on fresh
ones; with an S3 store, and with a file store. Each version must repeat all responses of the earlier ones, keep their
deletions, render new sizes of their images, and delete one of them.

  --to <commit>  the older version: a commit of this repository
  --help         print this help

Prints how many responses each version repeated, and what differed. Exit code: 0 compatible; 1 not; 2 the command could
not run.
`
const CURRENT: Version = { name: 'this', main: resolve(import.meta.dirname, '../src/main.ts') }

async function relayOn(scope: Scope, versions: readonly Version[], store: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-rollback-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'data'))
  const remote = await startRemoteSite(scope)
  const body = await fixture('mountains.jpg')
  for (const turn of versions.keys())
    remote.pages.set(`/cat.jpg?${turn}`, { body, headers: { 'Cache-Control': 'max-age=3600' } })
  const place = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  const env = { ...remote.env, ...place, ...store }
  return await relay(versions, { env, remote: `${remote.origin}/cat.jpg`, data: join(folder, 'data') })
}

function tell({ version, responses, hits, changed, validators, deletions, leftovers }: Leg): void {
  say(`  ${version}: ${responses} responses repeated, ${hits} of them from the cache, ${deletions} deletions kept`)
  for (const url of changed) say(`    other bytes: ${url}`)
  for (const file of leftovers) say(`    left of a deleted image: ${file}`)
  for (const url of validators) say(`    another ETag: ${url}`)
}

await runTool({
  name: 'rollback',
  usage: USAGE,
  options: { to: { type: 'string' } },
  async run({ to }) {
    if (to === undefined) throw new Error('--to is missing: the older version, such as --to 9cc5882')
    return await inScope(async (scope) => {
      const folder = await mkdtemp(join(tmpdir(), 'darkroom-version-'))
      scope.after(() => rm(folder, { recursive: true, force: true }))
      const older = await installVersion(to, folder)
      const server = await startS3Server('seaweedfs')
      scope.after(() => server.stop())
      shareS3Server(server)
      try {
        for (const versions of [
          [CURRENT, older, CURRENT],
          [older, CURRENT, older],
        ]) {
          for (const [kind, store] of [
            ['S3', (await newStore()).env],
            ['file', {}],
          ] as const) {
            say(`${versions.map(({ name }) => name).join(', ')} on a store of kind ${kind}`)
            for (const leg of await relayOn(scope, versions, store)) tell(leg)
          }
        }
        return 0
      } catch (error) {
        if (!(error instanceof AssertionError)) throw error
        say(`failed: ${error.message}`)
        return 1
      }
    })
  },
})
