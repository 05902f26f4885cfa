import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningServer, startServer } from '../tools/processes/process.ts'
import { ensureNginx } from '../tools/servers/install-servers.ts'
import { nginxArguments, type SiteConfig, writeSiteConfig } from '../tools/servers/nginx.ts'

export interface StaticNginx {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/** Headers that nginx makes of the file itself, or of the connection. */
const OWN_HEADERS = new Set([
  'accept-ranges',
  'connection',
  'content-length',
  'content-type',
  'date',
  'etag',
  'keep-alive',
  'last-modified',
  'server',
])
const SERVER_BEGINS = /^ {2}server \{$/m

/**
 * An nginx that does nothing but send one file: the floor of every hit. Everything outside of the server is this
 * repository's nginx.conf: workers, files, log.
 *
 * @param bytes What the file holds.
 * @param headers What else the answer shall carry; nginx's own are left out.
 */
export async function startStaticNginx(bytes: Buffer, headers: Headers): Promise<StaticNginx> {
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  const root = join(config.folder, 'files')
  await mkdir(root, { mode: 0o755 })
  await writeFile(join(root, 'picture.jpg'), bytes)
  return await start(config, { root, headers, path: 'picture.jpg' })
}

/** The same for all files of a folder. @param path A file in it. @returns The URL of the folder, with a slash at its end. */
export async function startFolderNginx(root: string, path: string): Promise<StaticNginx> {
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  const nginx = await start(config, { root, headers: new Headers(), path })
  return { ...nginx, url: new URL('/', nginx.url).href }
}

interface Served {
  readonly root: string
  readonly headers: Headers
  /** A file below the root. */
  readonly path: string
}

async function start(config: SiteConfig, served: Served): Promise<StaticNginx> {
  const { folder, port } = config
  await writeFile(config.file, withStaticServer(await readFile(config.file, 'utf8'), port, served))
  const url = `http://127.0.0.1:${port}/${served.path}`
  const server: RunningServer = await startServer({
    name: 'nginx',
    command: await ensureNginx(),
    args: nginxArguments(config, ['-g', 'daemon off;']),
    folder,
    isReady: async () => (await fetch(url)).ok,
    readyTimeoutMs: 10_000,
  })
  return { url, pid: server.pid, stop: () => server.stop() }
}

function withStaticServer(text: string, port: number, { root, headers }: Served): string {
  const [outside, server] = text.split(SERVER_BEGINS)
  if (outside === undefined || server === undefined) throw new Error('nginx.conf has no line that begins the server')
  const added = [...headers]
    .filter(([name]) => !OWN_HEADERS.has(name))
    .map(([name, value]) => `add_header ${name} ${quote(value)};`)
  return `${outside}
  server {
    listen 127.0.0.1:${port} default_server;
    location / {
      root ${root};
      ${added.join('\n      ')}
    }
  }
}
`
}

function quote(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
