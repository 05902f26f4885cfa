import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { stopAfter, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { installExample } from './example-app.ts'

const WITHIN_MS = 60_000

const Image = z.object({
  id: z.string(),
  version: z.number(),
  name: z.string().nullable(),
  camera: z.string().nullable(),
  src: z.string(),
})
const Found = z.object({ images: z.array(Image) })
const Stats = z.object({ images: z.number(), deleted: z.number(), duplicates: z.number(), processed: z.number() })

/** The program of `examples/indexer`. */
export interface IndexerExample {
  readonly url: string
  search(query: string): Promise<readonly z.infer<typeof Image>[]>
  stats(): Promise<z.infer<typeof Stats>>
  /** By SIGKILL, with npm. */
  kill(): Promise<void>
}

/** A copy of the example with its packages and a database, which each call starts, by `npm start`. */
export async function installIndexer(t: Scope, nodeUrl: string) {
  const { folder } = await installExample(t, 'indexer')
  const database = join(await temporaryFolder(t), 'index.sqlite')
  return async (more: Readonly<Record<string, string>> = {}): Promise<IndexerExample> => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const ask = async (path: string): Promise<unknown> => await (await fetch(`${url}${path}`)).json()
    const server = await startServer({
      name: 'example-indexer',
      command: 'npm',
      args: ['--prefix', folder, 'start'],
      folder: await createServerFolder('example-indexer'),
      env: {
        DARKROOM_URL: nodeUrl,
        DARKROOM_TOKEN: TOKEN,
        DATABASE: database,
        PORT: String(port),
        // The Node of the tests, in place of an older one on the machine.
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        ...more,
      },
      isReady: async () => (await fetch(url)).ok,
      readyTimeoutMs: WITHIN_MS,
      endsBy: 'KILL',
    })
    stopAfter(t, server.stop)
    return {
      url,
      kill: server.stop,
      search: async (q) => Found.parse(await ask(`/search?${new URLSearchParams({ q }).toString()}`)).images,
      stats: async () => Stats.parse(await ask('/stats')),
    }
  }
}

/** Until the condition holds. @throws AssertionError after a minute. */
export async function untilSo(isTrue: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `not within ${WITHIN_MS} ms: ${what}`)
    await delay(50)
  }
}
