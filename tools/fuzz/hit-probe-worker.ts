import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { createKeptConnection } from '../requests/kept-connection.ts'

/** What a thread that asks for one picture is told. */
export interface HitProbeData {
  readonly port: number
  readonly path: string
  /** Between an answer and the next request. */
  readonly pauseMs: number
}

export interface Hit {
  readonly ms: number
  /** As the answer says: `nginx` for a file that nginx has sent by itself. */
  readonly tier: string
}

/** Viewers have machines of their own: theirs must not wait for a core here. Needs root. */
const PRIORITY = -10

async function probe({ port, path, pauseMs }: HitProbeData): Promise<never> {
  const connection = createKeptConnection(port)
  for (;;) {
    const { status, headers, ms } = await connection.get(path)
    if (status !== 200) throw new Error(`The hot picture was answered ${status}`)
    const tier = /desc="(?<tier>[^"]+)"/.exec(headers.get('server-timing') ?? '')?.groups?.['tier'] ?? 'unknown'
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    parentPort?.postMessage({ ms, tier } satisfies Hit)
    await delay(pauseMs)
  }
}

function assertWorkerData(data: unknown): asserts data is HitProbeData {
  const isGiven = typeof data === 'object' && data !== null && 'port' in data && 'path' in data && 'pauseMs' in data
  if (!isGiven) throw new TypeError('Not started by startHitProbe')
}

// The entry of a thread, never imported for its values. On Linux a priority belongs to the thread that sets it.
setPriority(0, PRIORITY)
assertWorkerData(workerData)
await probe(workerData)
