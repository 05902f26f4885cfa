import { fileURLToPath } from 'node:url'
import { freePort } from '../tools/processes/free-port.ts'
import { createServerFolder, type RunningServer, startServer } from '../tools/processes/process.ts'

export interface NodeProcess extends RunningServer {
  readonly port: number
}

/** Runs a module of this folder as a server on `PORT`, in a process like the service's own. */
export async function startNodeProcess(module: string, env: Readonly<Record<string, string>>): Promise<NodeProcess> {
  const port = await freePort()
  const server = await startServer({
    name: 'node',
    command: process.execPath,
    args: [fileURLToPath(new URL(module, import.meta.url))],
    folder: await createServerFolder('bench'),
    env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '16', ...env, PORT: String(port) },
    // Any answer will do.
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0,
    readyTimeoutMs: 20_000,
  })
  return { ...server, port }
}
