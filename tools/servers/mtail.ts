import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { ensureMtail } from './install-servers.ts'
import { stopAfter } from './site.ts'

const PROGRAMS = join(import.meta.dirname, '../../packaging/mtail')
const WITHIN_MS = 30_000

export interface Mtail {
  readonly pid: number
  /** As `127.0.0.1:3903`. */
  readonly address: string
  /** Values of the metrics that begin with `darkroom_`, by name and labels as mtail writes them, without the name of the program. */
  metrics(): Promise<ReadonlyMap<string, number>>
  /** Resolves with `metrics` when it has counted so many requests. */
  untilCounted(requests: number): Promise<ReadonlyMap<string, number>>
}

/** Debian's mtail with this repository's program, until the test ends. @param log Access log of a node's nginx. */
export async function startMtail(t: Scope, log: string): Promise<Mtail> {
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  const url = `http://${address}/metrics`
  const server = await startServer({
    name: 'mtail',
    command: await ensureMtail(),
    args: ['--progs', PROGRAMS, '--logs', log, '--logtostderr', '--address', '127.0.0.1', '--port', String(port)],
    folder: await createServerFolder('mtail'),
    isReady: async () => (await fetch(url)).ok,
    readyTimeoutMs: WITHIN_MS,
  })
  stopAfter(t, server.stop)

  async function metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(url)).text()
    const lines = text.matchAll(/^(darkroom_\S+\{.*\}) (\S+)$/gm)
    return new Map(
      Array.from(lines, ([, key = '', value]) => [key.replace(/prog="[^"]*",|,prog="[^"]*"/, ''), Number(value)]),
    )
  }

  return {
    pid: server.pid,
    address,
    metrics,
    async untilCounted(requests) {
      const deadline = performance.now() + WITHIN_MS
      for (;;) {
        const found = await metrics()
        const counts = Array.from(found, ([key, count]) =>
          key.startsWith('darkroom_nginx_requests_total') ? count : 0,
        )
        const counted = counts.reduce((sum, count) => sum + count, 0)
        if (counted >= requests) return found
        if (performance.now() > deadline) throw new Error(`mtail counted ${counted} of ${requests} requests`)
        await delay(50)
      }
    },
  }
}
