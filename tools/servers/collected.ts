import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../processes/free-port.ts'
import { jsonFields } from '../requests/raw-request.ts'
import type { Darkroom } from './darkroom.ts'
import { footprint } from './footprint.ts'

const COLLECT_EVERY_MS = 1000
/** V8 gives what it has collected back to the kernel some seconds later. */
const GIVEN_BACK_WITHIN_MS = 30_000

/** A node's memory without what V8 has only not collected yet: as long as there is room, it does not look for garbage. */
export interface Collector {
  /** For the environment of the node. */
  readonly env: Readonly<Record<string, string>>
  /** Collects again and again until the node holds no more than that, half a minute at most. @returns what it holds then. */
  settledRssBytes(node: Darkroom, bytes: number): Promise<number>
  /** Of the node's heap, after a collection. */
  usedHeapBytes(): Promise<number>
}

/** By the inspector, on loopback. */
export async function createCollector(): Promise<Collector> {
  const port = await freePort()
  return {
    env: { NODE_OPTIONS: `--inspect=127.0.0.1:${port}` },
    async settledRssBytes(node, bytes) {
      const until = performance.now() + GIVEN_BACK_WITHIN_MS
      for (;;) {
        await call(port, 'HeapProfiler.collectGarbage')
        await delay(COLLECT_EVERY_MS)
        const { rssBytes } = await footprint(node)
        if (rssBytes <= bytes || performance.now() > until) return rssBytes
      }
    },
    async usedHeapBytes() {
      // What is given back beside the program is certain to be only before the next collection.
      await call(port, 'HeapProfiler.collectGarbage')
      await call(port, 'HeapProfiler.collectGarbage')
      return Number((await call(port, 'Runtime.getHeapUsage'))['usedSize'])
    },
  }
}

/** One call of the inspector's protocol. @returns its result. */
async function call(port: number, method: string): Promise<Readonly<Record<string, unknown>>> {
  const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).text()
  const { webSocketDebuggerUrl } = jsonFields(targets.trim().replace(/^\[([^]*)\]$/, '$1'))
  const socket = new WebSocket(String(webSocketDebuggerUrl))
  try {
    const done = Promise.withResolvers<string>()
    socket.addEventListener('open', () => socket.send(JSON.stringify({ id: 1, method })))
    socket.addEventListener('message', ({ data }) => done.resolve(String(data)))
    socket.addEventListener('error', () => done.reject(new Error('The inspector does not answer')))
    return jsonFields(JSON.stringify(jsonFields(await done.promise)['result']))
  } finally {
    socket.close()
  }
}
