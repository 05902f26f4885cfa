import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { ensureVarnish } from '../../tools/servers/install-servers.ts'
import { stopAfter } from '../../tools/servers/site.ts'

const CONFIG = new URL('../../examples/cdn/varnish.vcl', import.meta.url)

/** Varnish with `examples/cdn/varnish.vcl` in front of an origin, until the test ends. @returns Its address. */
export async function startVarnish(t: Scope, origin: string): Promise<string> {
  const folder = await createServerFolder('varnish')
  const config = await readFile(CONFIG, 'utf8')
  const address = '.host = "127.0.0.1";\n  .port = "8080";'
  if (!config.includes(address)) throw new Error(`varnish.vcl contains no ${address}`)
  const file = join(folder, 'test.vcl')
  await writeFile(file, config.replace(address, `.host = "127.0.0.1";\n  .port = "${new URL(origin).port}";`))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await startServer({
    name: 'varnish',
    command: await ensureVarnish(),
    // Without its own users and jails: those are for production.
    args: ['-F', '-j', 'none', '-n', join(folder, 'work'), '-f', file, '-a', `127.0.0.1:${port}`, '-s', 'malloc,64m'],
    folder,
    isReady: async () => (await rawRequest(url, '/healthz')).status === 200,
    readyTimeoutMs: 60_000,
  })
  stopAfter(t, server.stop)
  return url
}
