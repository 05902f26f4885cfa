import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { stopAfter } from '../../tools/servers/site.ts'

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname
const READY_TIMEOUT_MS = 60_000

/** A copy of an example, in the folder that its server will own. */
export interface ExampleFolder {
  readonly folder: string
  readonly port: number
  /** Where the server will be, such as `http://127.0.0.1:4711`. */
  readonly url: string
}

/**
 * Copies `examples/{name}`.
 *
 * @param others Other examples where the page says to copy them: paths below `examples/`, by path in the copy.
 * @param skeleton Folder with the application that the example is copied into.
 */
export async function copyExample(
  name: string,
  others: Readonly<Record<string, string>>,
  skeleton?: URL,
): Promise<ExampleFolder> {
  const folder = await createServerFolder(name)
  if (skeleton !== undefined) await cp(skeleton, folder, { recursive: true })
  await cp(join(EXAMPLES, name), folder, { recursive: true })
  for (const [to, from] of Object.entries(others)) await cp(join(EXAMPLES, from), join(folder, to))
  const port = await freePort()
  return { folder, port, url: `http://127.0.0.1:${port}` }
}

/** Serves the copy until the end of the scope. Its folder is removed then. */
export async function serveExample(
  t: Scope,
  { folder, url }: ExampleFolder,
  [command = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const isReady = async () => (await fetch(url, { redirect: 'manual' })).status < 500
  const server = await startServer({
    name: 'framework',
    command,
    args,
    folder,
    env,
    isReady,
    readyTimeoutMs: READY_TIMEOUT_MS,
  })
  stopAfter(t, server.stop)
}
