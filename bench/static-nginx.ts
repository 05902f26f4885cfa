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
  const command = await ensureNginx()
  const config = await writeSiteConfig({ nodePort: 9, cacheDir: '/nonexistent' })
  const { folder, port } = config
  await mkdir(join(folder, 'files'), { mode: 0o755 })
  await writeFile(join(folder, 'files', 'picture.jpg'), bytes)
  await writeFile(config.file, withStaticServer(await readFile(config.file, 'utf8'), config, headers))
  const url = `http://127.0.0.1:${port}/picture.jpg`
  const server: RunningServer = await startServer({
    name: 'nginx',
    command,
    args: nginxArguments(config, ['-g', 'daemon off;']),
    folder,
    isReady: async () => (await fetch(url)).ok,
    readyTimeoutMs: 10_000,
  })
  return { url, pid: server.pid, stop: () => server.stop() }
}

function withStaticServer(text: string, { folder, port }: SiteConfig, headers: Headers): string {
  const [outside, server] = text.split(SERVER_BEGINS)
  if (outside === undefined || server === undefined) throw new Error('nginx.conf has no line that begins the server')
  const added = [...headers]
    .filter(([name]) => !OWN_HEADERS.has(name))
    .map(([name, value]) => `add_header ${name} ${quote(value)};`)
  return `${outside}
  server {
    listen 127.0.0.1:${port} default_server;
    location / {
      root ${folder}/files;
      ${added.join('\n      ')}
    }
  }
}
`
}

function quote(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
