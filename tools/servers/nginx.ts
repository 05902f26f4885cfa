import { chmod, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureNginx } from './install-servers.ts'

const CONFIG = new URL('../../nginx.conf', import.meta.url)
const SITE_MARK = /\s+# site(?::.*)?$/
const READY_TIMEOUT_MS = 10_000
const LOG_TIMEOUT_MS = 10_000

export interface NginxOptions {
  /** Port of the node process on loopback. */
  readonly nodePort: number
  /** The node's `CACHE_DIR`; nginx sends files from its `renditions`. */
  readonly cacheDir: string
  /** False as with `SIZE_POLICY=signed`. */
  readonly directHits?: boolean
  /** `host:port` of the nginx of every node behind the front; by default this one alone. */
  readonly nodes?: readonly string[]
  /** User of the workers, by default whoever runs the tests; only root can choose. */
  readonly user?: string
  /** More lines marked `# site`: what stands before the mark, and what shall stand there instead. */
  readonly site?: Readonly<Record<string, string>>
  /** Lines that an nginx.conf of another version lacks: each that contains one of these texts goes. */
  readonly without?: readonly string[]
}

export interface Nginx {
  readonly port: number
  readonly origin: string
  readonly frontPort: number
  readonly frontOrigin: string
  readonly pid: number
  errorLog(): Promise<string>
  /** The lines of the access log, as soon as there are `atLeast` so many: nginx writes them within a second. */
  accessLog(atLeast: number): Promise<readonly string[]>
  /** Ends nginx at once, cutting what is under way, and removes its logs. */
  stop(): Promise<void>
}

/**
 * Starts nginx with this repository's nginx.conf on free loopback ports. The caller ends it by `stop`.
 *
 * @throws Error with nginx's error log if it does not accept connections in time.
 */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const command = await ensureNginx()
  const config = await writeSiteConfig(options)
  const { port, frontPort, folder } = config
  const server = await startServer({
    name: 'nginx',
    command,
    args: nginxArguments(config, ['-g', 'daemon off;']),
    folder,
    isReady: async () => (await canConnect(port)) && (await canConnect(frontPort)),
    readyTimeoutMs: READY_TIMEOUT_MS,
  })
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    frontPort,
    frontOrigin: `http://127.0.0.1:${frontPort}`,
    pid: server.pid,
    errorLog: () => readFile(join(folder, 'nginx.log'), 'utf8'),
    accessLog: (atLeast) => linesOf(join(folder, 'access.log'), atLeast),
    stop: () => server.stop(),
  }
}

/** This repository's nginx.conf made to run here. Whoever asked for it removes the folder. */
export interface SiteConfig {
  readonly folder: string
  readonly file: string
  readonly port: number
  readonly frontPort: number
}

export async function writeSiteConfig(options: NginxOptions): Promise<SiteConfig> {
  const port = await freePort()
  const frontPort = await freePort()
  const folder = await createServerFolder('nginx')
  // The workers may run as another user.
  await chmod(folder, 0o755)
  const nodes = options.nodes ?? [`127.0.0.1:${port}`]
  const lines = (await readFile(CONFIG, 'utf8')).split('\n')
  const kept = lines.filter((line) => !options.without?.some((text) => line.includes(text)))
  const text = replaceSiteLines(kept.join('\n'), {
    'user www-data;': process.getuid?.() === 0 ? `user ${options.user ?? userInfo().username};` : '',
    'pid /run/nginx.pid;': `pid ${folder}/nginx.pid;`,
    'error_log /var/log/nginx/error.log warn;': 'error_log stderr warn;',
    'worker_rlimit_nofile 65536;': '',
    'client_body_temp_path /var/lib/nginx/body;': `client_body_temp_path ${folder}/body;`,
    'proxy_temp_path /var/lib/nginx/proxy;': `proxy_temp_path ${folder}/proxy;`,
    'fastcgi_temp_path /var/lib/nginx/fastcgi;': `fastcgi_temp_path ${folder}/fastcgi;`,
    'uwsgi_temp_path /var/lib/nginx/uwsgi;': `uwsgi_temp_path ${folder}/uwsgi;`,
    'scgi_temp_path /var/lib/nginx/scgi;': `scgi_temp_path ${folder}/scgi;`,
    'access_log /var/log/nginx/darkroom.log darkroom buffer=64k flush=1s;': `access_log ${folder}/access.log darkroom buffer=64k flush=1s;`,
    'map "" $direct_hits { default on; }': `map "" $direct_hits { default ${options.directHits === false ? 'off' : 'on'}; }`,
    'map "" $hit_tree { default /var/cache/darkroom/renditions; }': `map "" $hit_tree { default ${options.cacheDir}/renditions; }`,
    'server 127.0.0.1:8080 max_conns=2560;': `server 127.0.0.1:${options.nodePort} max_conns=2560;`,
    'server 127.0.0.1:8080 max_conns=256;': `server 127.0.0.1:${options.nodePort} max_conns=256;`,
    'server 127.0.0.1:80 max_fails=2 fail_timeout=3s;': nodes
      .map((node) => `server ${node} max_fails=2 fail_timeout=3s;`)
      .join(' '),
    'server 127.0.0.1:80 max_fails=0;': nodes.map((node) => `server ${node} max_fails=0;`).join(' '),
    'listen 80 default_server;': `listen 127.0.0.1:${port} default_server;`,
    'listen 127.0.0.1:8081 default_server;': `listen 127.0.0.1:${frontPort} default_server;`,
    ...options.site,
  })
  const file = join(folder, 'nginx.conf')
  await writeFile(file, text)
  return { folder, file, port, frontPort }
}

/**
 * Replaces settings on lines marked `# site`, and nothing else.
 *
 * @param replacements By what stands before the mark; every line that says just that is replaced.
 * @throws Error for a setting that no such line has.
 */
export function replaceSiteLines(config: string, replacements: Readonly<Record<string, string>>): string {
  const unused = new Set(Object.keys(replacements))
  const lines = config.split('\n').map((line) => {
    const setting = line.replace(SITE_MARK, '').trim()
    const replacement = SITE_MARK.test(line) ? replacements[setting] : undefined
    if (replacement === undefined) return line
    unused.delete(setting)
    return `${replacement} # site`
  })
  if (unused.size > 0) throw new Error(`nginx.conf has no site line that says ${[...unused].join(' or ')}`)
  return lines.join('\n')
}

/** The command line for that configuration; errors go to stderr from the first one on. */
export function nginxArguments({ file, folder }: SiteConfig, more: readonly string[]): readonly string[] {
  return ['-e', 'stderr', '-p', folder, '-c', file, ...more]
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function linesOf(file: string, atLeast: number): Promise<readonly string[]> {
  const deadline = Date.now() + LOG_TIMEOUT_MS
  for (;;) {
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
    if (lines.length >= atLeast) return lines
    if (Date.now() > deadline) throw new Error(`The access log has ${lines.length} lines and not ${atLeast}`)
    await delay(50)
  }
}
