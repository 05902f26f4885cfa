import { cp, mkdir, mkdtemp } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort } from '../tools/processes/free-port.ts'
import { createServerFolder, runCommand, startServer } from '../tools/processes/process.ts'
import { type Darkroom, startDarkroom } from '../tools/servers/darkroom.ts'
import { findCommand } from '../tools/servers/debian-packages.ts'
import { ensureCached } from '../tools/servers/install-servers.ts'
import { startNodeProcess } from './node-process.ts'
import type { Photograph } from './render-photographs.ts'

/** The version that bench/peers/package.json names. */
const IPX = 'ipx-3.1.1'
const PEERS_DIR = join(import.meta.dirname, 'peers')
const QUALITY = 80

export type Output = 'jpg' | 'webp' | 'avif'

/** Something that makes thumbnails of photographs by HTTP. */
export interface RenderServer {
  readonly pid: number
  url(photograph: Photograph, width: number, output?: Output): string
  /** Whether nothing waits to be done after the answers. */
  isIdle(): boolean | Promise<boolean>
  stop(): Promise<void>
}

/** Starts a server that has not seen any photograph yet. */
export type StartServer = () => Promise<RenderServer>

/** Where the peers read originals. */
export interface PeerOriginals {
  /** A folder, or the URL of one on another server, without a slash at its end. */
  readonly root: string
  /** Below the root. */
  path(photograph: Photograph): string
}

/** What one of our nodes needs to find the originals of a measurement. */
export interface NodeOriginals {
  readonly env: Readonly<Record<string, string>>
  /** Path and query of the URL. */
  path(photograph: Photograph, width: number, output: Output): string
}

/** Uploads. @param env Says where the store is. */
export function uploadsIn(env: Readonly<Record<string, string>>): NodeOriginals {
  return { env, path: ({ id }, width, output) => `/image/${id}/${width}w/x.${output}` }
}

/** Files of a folder. */
export function filesIn(root: string): PeerOriginals {
  return { root, path: ({ file }) => file }
}

/**
 * A node of the service with nothing in its cache.
 * @param env Says where its store is.
 * @param cachesFolder Keeps the caches until somebody removes it: for half a minute after a thousand files have been
 *   removed, ext4 takes far longer to make new ones.
 */
export async function startEmptyNode(env: Readonly<Record<string, string>>, cachesFolder: string): Promise<Darkroom> {
  await mkdir(cachesFolder, { recursive: true })
  const CACHE_DIR = await mkdtemp(join(cachesFolder, 'cache-'))
  return await startDarkroom({ env: { ...env, CACHE_DIR } })
}

/** As `startEmptyNode`, each time with another cache. @param originals Made anew for each start. */
export function startNode(originals: () => Promise<NodeOriginals>, cachesFolder: string): StartServer {
  return async () => {
    const { env, path } = await originals()
    const node = await startEmptyNode(env, cachesFolder)
    return {
      pid: node.pid,
      url: (photograph, width, output = 'jpg') => `${node.url}${path(photograph, width, output)}`,
      isIdle: () => isNodeIdle(node),
      stop: node.stop,
    }
  }
}

/** Whether nothing waits to be done in the background. */
export async function isNodeIdle(node: Darkroom): Promise<boolean> {
  return (await node.metric('darkroom_background_tasks_pending')) === 0
}

/** sharp alone, from the original. */
export function startBareSharp({ root, path }: PeerOriginals): StartServer {
  return async () => {
    const { pid, port, stop } = await startNodeProcess('bare-sharp.ts', { IMAGES: root })
    return {
      pid,
      url(photograph, width, output = 'jpg') {
        const height = Math.round((photograph.height * width) / photograph.width)
        const encoding = output === 'jpg' ? `q=${QUALITY}` : `format=${output}`
        return `http://127.0.0.1:${port}/${path(photograph)}?width=${width}&height=${height}&${encoding}`
      },
      isIdle: () => true,
      stop,
    }
  }
}

/** ipx from npm, as its own command runs it: its defaults, and Node's and the C library's. It is installed first. */
export function startIpx({ root, path }: PeerOriginals): StartServer {
  return async () => {
    const IPX_MODULE = await ensureIpx()
    const ownDefaults = { MALLOC_ARENA_MAX: '', UV_THREADPOOL_SIZE: '4' }
    const { pid, port, stop } = await startNodeProcess('peers/ipx-server.js', {
      ...ownDefaults,
      IMAGES: isUrl(root) ? '/nonexistent' : root,
      IPX: IPX_MODULE,
    })
    const before = isUrl(root) ? `${root}/` : ''
    return {
      pid,
      url: (photograph, width, output = 'jpg') =>
        `http://127.0.0.1:${port}/w_${width},f_${output === 'jpg' ? 'jpeg' : output}/${before}${path(photograph)}`,
      isIdle: () => true,
      stop,
    }
  }
}

/** imgproxy with its defaults. @returns undefined where it is not on the PATH: no registry has it. */
export async function findImgproxy({ root, path }: PeerOriginals): Promise<StartServer | undefined> {
  const command = await findCommand('imgproxy')
  if (command === undefined) return undefined
  const source = isUrl(root) ? root : 'local://'
  return async () => {
    const port = await freePort()
    const { pid, stop } = await startServer({
      name: 'imgproxy',
      command,
      args: [],
      folder: await createServerFolder('imgproxy'),
      env: {
        IMGPROXY_BIND: `127.0.0.1:${port}`,
        IMGPROXY_LOG_LEVEL: 'warn',
        ...(isUrl(root)
          ? { IMGPROXY_ALLOW_LOOPBACK_SOURCE_ADDRESSES: 'true' }
          : { IMGPROXY_LOCAL_FILESYSTEM_ROOT: root }),
      },
      isReady: async () => (await fetch(`http://127.0.0.1:${port}/health`)).ok,
      readyTimeoutMs: 20_000,
    })
    const origin = `http://127.0.0.1:${port}/insecure`
    return {
      pid,
      url: (photograph, width, output = 'jpg') =>
        `${origin}/rs:fit:${width}:0/plain/${source}/${path(photograph)}@${output}`,
      isIdle: () => true,
      stop,
    }
  }
}

function isUrl(root: string): boolean {
  return root.startsWith('http:')
}

/** @returns Path of ipx's module. */
async function ensureIpx(): Promise<string> {
  const command = await ensureCached(`${IPX}/node_modules/.bin/ipx`, async (folder) => {
    for (const file of ['package.json', 'package-lock.json']) await cp(join(PEERS_DIR, file), join(folder, file))
    await runCommand('npm', [
      'ci',
      '--prefix',
      folder,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ])
  })
  return join(dirname(command), '../ipx/dist/index.mjs')
}
