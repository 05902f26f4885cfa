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

/** Something that makes JPEGs of photographs by HTTP. */
export interface RenderServer {
  readonly pid: number
  url(photograph: Photograph, width: number): string
  stop(): Promise<void>
}

/** Starts a server that has not seen any photograph yet. */
export type StartServer = () => Promise<RenderServer>

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

/** As `startEmptyNode`, each time with another cache. */
export function startNode(env: Readonly<Record<string, string>>, cachesFolder: string): StartServer {
  return async () => {
    const { pid, url, stop } = await startEmptyNode(env, cachesFolder)
    return { pid, url: ({ id }, width) => `${url}/image/${id}/${width}w/x.jpg`, stop }
  }
}

/** sharp alone, from the original. @param folder Holds the photographs' files. */
export function startBareSharp(folder: string): StartServer {
  return async () => {
    const { pid, port, stop } = await startNodeProcess('bare-sharp.ts', { IMAGES: folder })
    return {
      pid,
      url(photograph, width) {
        const height = Math.round((photograph.height * width) / photograph.width)
        return `http://127.0.0.1:${port}/${photograph.file}?width=${width}&height=${height}&q=${QUALITY}`
      },
      stop,
    }
  }
}

/** ipx from npm, as its own command runs it: its defaults, and Node's and the C library's. It is installed first. */
export function startIpx(folder: string): StartServer {
  return async () => {
    const IPX_MODULE = await ensureIpx()
    const ownDefaults = { MALLOC_ARENA_MAX: '', UV_THREADPOOL_SIZE: '4' }
    const { pid, port, stop } = await startNodeProcess('peers/ipx-server.js', {
      ...ownDefaults,
      IMAGES: folder,
      IPX: IPX_MODULE,
    })
    return { pid, url: ({ file }, width) => `http://127.0.0.1:${port}/w_${width},f_jpeg/${file}`, stop }
  }
}

/** imgproxy with its defaults. @returns undefined where it is not on the PATH: no registry has it. */
export async function findImgproxy(folder: string): Promise<StartServer | undefined> {
  const command = await findCommand('imgproxy')
  if (command === undefined) return undefined
  return async () => {
    const port = await freePort()
    const { pid, stop } = await startServer({
      name: 'imgproxy',
      command,
      args: [],
      folder: await createServerFolder('imgproxy'),
      env: { IMGPROXY_BIND: `127.0.0.1:${port}`, IMGPROXY_LOCAL_FILESYSTEM_ROOT: folder, IMGPROXY_LOG_LEVEL: 'warn' },
      isReady: async () => (await fetch(`http://127.0.0.1:${port}/health`)).ok,
      readyTimeoutMs: 20_000,
    })
    const origin = `http://127.0.0.1:${port}`
    return { pid, url: ({ file }, width) => `${origin}/insecure/rs:fit:${width}:0/plain/local:///${file}@jpg`, stop }
  }
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
