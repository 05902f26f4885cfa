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
const HTTP_BEGINS = /^http \{$/m
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

/** The same as fast as nginx can: no log, no limits, no headers but nginx's own. */
export async function startBareNginx(bytes: Buffer): Promise<StaticNginx> {
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  await mkdir(join(config.folder, 'files'), { mode: 0o755 })
  await writeFile(join(config.folder, 'files', 'picture.jpg'), bytes)
  const [process] = (await readFile(config.file, 'utf8')).split(HTTP_BEGINS)
  const text = `${process}
http {
  types { image/jpeg jpg; }
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=8192 inactive=20s;
  open_file_cache_valid 1s;
  keepalive_requests 10000;
  server {
    listen 127.0.0.1:${config.port} default_server;
    root ${config.folder}/files;
  }
}
`
  return await startWith(config, text, 'picture.jpg')
}

/**
 * A peer: nginx with the settings and the log of this repository's nginx.conf in front of another server, whose response it keeps
 * with proxy_cache. The headers are those of that server.
 */
export async function startProxyCache({ origin, path }: { readonly origin: string; readonly path: string }) {
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  const server = `  proxy_cache_path ${config.folder}/cache levels=1:2 keys_zone=peer:1m;
  server {
    listen 127.0.0.1:${config.port} default_server;
    location / {
      proxy_cache peer;
      proxy_cache_valid 200 1h;
      proxy_pass ${origin};
    }
  }`
  return await startWith(config, withServer(await readFile(config.file, 'utf8'), server), path)
}

/** Answers 404 to every request but one, with the settings and the log of nginx.conf: the least that a request can cost. */
export async function startNotFoundNginx(): Promise<StaticNginx> {
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  const server = `  server {
    listen 127.0.0.1:${config.port} default_server;
    location = /ready { return 204; }
    location / { return 404; }
  }`
  return await startWith(config, withServer(await readFile(config.file, 'utf8'), server), 'ready')
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
  const server = staticServer(config.port, served)
  return await startWith(config, withServer(await readFile(config.file, 'utf8'), server), served.path)
}

async function startWith(config: SiteConfig, text: string, path: string): Promise<StaticNginx> {
  const { folder, port } = config
  await writeFile(config.file, text)
  const url = `http://127.0.0.1:${port}/${path}`
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

/** nginx.conf with another server in place of its own. */
function withServer(text: string, server: string): string {
  const [outside, own] = text.split(SERVER_BEGINS)
  if (outside === undefined || own === undefined) throw new Error('nginx.conf has no line that begins the server')
  return `${outside}\n${server}\n}\n`
}

function staticServer(port: number, { root, headers }: Served): string {
  const added = [...headers]
    .filter(([name]) => !OWN_HEADERS.has(name))
    .map(([name, value]) => `add_header ${name} ${quote(value)};`)
  return `  server {
    listen 127.0.0.1:${port} default_server;
    location / {
      root ${root};
      ${added.join('\n      ')}
    }
  }`
}

function quote(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
