import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import type { Scope } from '../processes/scope.ts'
import { type Darkroom, startDarkroom } from '../servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts'
import { type NginxServer, startNodeNginx } from '../servers/nginx.ts'

export interface ClusterNodeOptions {
  readonly name: string
  /** Of the store. */
  readonly endpoint: string
  readonly env: Readonly<Record<string, string>>
}

/** A node with its nginx and its own way to the store. Ports and address stay the same from one start to the next. */
export interface ClusterNode {
  readonly name: string
  /** `host:port` of its nginx. */
  readonly address: string
  /** Between the node and the store: records requests, and cuts them off. */
  readonly proxy: FaultProxy
  /** The process that runs now. @throws Error between `kill` or `stop` and `start`. */
  darkroom(): Darkroom
  /** Of the node and of its nginx; their children are not in it. */
  pids(): readonly number[]
  /** Starts node and nginx. Resolves when the node is ready. @param disk Empty: without any file of the cache. */
  start(disk?: 'kept' | 'empty'): Promise<void>
  /** SIGTERM to the node, and the end of nginx after it. */
  stop(): Promise<void>
  /** SIGKILL to node, renderers and nginx at once. */
  kill(): Promise<void>
  /** SIGSTOP or SIGCONT of the same processes. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
}

/** Prepares a node, until the scope ends; `start` starts it. */
export async function createClusterNode(
  scope: Scope,
  { name, endpoint, env }: ClusterNodeOptions,
): Promise<ClusterNode> {
  const [port, nginxPort] = [await freePort(), await freePort()]
  const proxy = await startFaultProxy({ target: endpoint })
  const address = `127.0.0.1:${nginxPort}`
  let running: { readonly node: Darkroom; readonly nginx: NginxServer } | undefined
  let cacheDir: string | undefined

  const dropDisk = async (): Promise<void> => {
    if (cacheDir !== undefined) await rm(cacheDir, { recursive: true, force: true, maxRetries: 5 })
    cacheDir = undefined
  }
  const current = (): NonNullable<typeof running> => {
    if (running === undefined) throw new Error(`${name} does not run`)
    return running
  }
  /** To the groups: renderers and workers too. */
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const pid of node.pids()) process.kill(-pid, signal)
  }
  const node: ClusterNode = {
    name,
    address,
    proxy,
    darkroom: () => current().node,
    pids: () => [current().node.pid, current().nginx.pid],
    async start(disk = 'kept') {
      if (disk === 'empty') await dropDisk()
      cacheDir ??= await newDisk()
      const started = await startDarkroom({
        port,
        env: {
          ACCEL_PREFIX: '/_renditions/',
          ...env,
          S3_ENDPOINT: proxy.endpoint,
          CACHE_DIR: cacheDir,
          NODE_NAME: name,
          NODE_ADDRESS: address,
        },
      })
      running = { node: started, nginx: await startNodeNginx({ nodePort: port, cacheDir, port: nginxPort }) }
    },
    async stop() {
      const { node: stopped, nginx } = current()
      running = undefined
      await stopped.stop()
      await nginx.stop()
    },
    async kill() {
      signalAll('SIGKILL')
      await node.stop()
    },
    signal: signalAll,
  }
  scope.after(async () => {
    await proxy.setFault(undefined)
    if (running !== undefined) {
      node.signal('SIGCONT')
      await node.stop()
    }
    await proxy.stop()
    await dropDisk()
  })
  return node
}

async function newDisk(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-cluster-'))
  // nginx's workers may run as another user.
  await chmod(folder, 0o755)
  return folder
}
