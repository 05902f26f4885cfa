import { chmod, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureNginx } from './install-servers.ts'

const NODE_CONFIG = new URL('../../nginx.conf', import.meta.url)
const FRONT_CONFIG = new URL('../../packaging/nginx/front.conf', import.meta.url)
const LISTEN = 'listen 80 default_server;'
/** docs/tls.md makes it of the line above. */
const LISTEN_BESIDE_TLS = 'listen 127.0.0.1:80 default_server;'
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
  /** More lines marked `# site`: the text before the mark, and its replacement, also in the front's file if it has that line. */
  readonly site?: Readonly<Record<string, string>>
  /** A further `listen` line of the node's nginx. */
  readonly alsoListen?: string
  /** Text in place of nginx.conf, some of whose `# site` lines an operator changed. */
  readonly edited?: string
  /** Lines that an nginx.conf of another version lacks: each that contains one of these texts goes. */
  readonly without?: readonly string[]
  /** Of the node's nginx; by default one that is free. */
  readonly port?: number
}

/** One nginx process. */
export interface NginxServer {
  readonly port: number
  readonly origin: string
  readonly pid: number
  readonly folder: string
  /** Ends nginx at once, cutting what is under way, and removes its logs. */
  stop(): Promise<void>
}

/** A node's nginx, and a front on a port of its own. */
export interface Nginx extends Omit<NginxServer, 'folder'> {
  readonly frontPort: number
  readonly frontOrigin: string
  /** The error logs of both. */
  errorLog(): Promise<string>
  /** The lines of both access logs, as soon as there are `atLeast` so many: nginx writes them within a second. */
  accessLog(atLeast: number): Promise<readonly string[]>
}

/**
 * Starts a node's nginx and a front on free loopback ports. The caller ends them by `stop`.
 *
 * @throws Error with nginx's error log if it does not accept connections in time.
 */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const node = await startNodeNginx(options)
  const front = await startFront({ ...options, nodes: options.nodes ?? [`127.0.0.1:${node.port}`] }).catch(
    async (error: unknown) => {
      await node.stop()
      throw error
    },
  )
  const folders = [node.folder, front.folder]
  return {
    port: node.port,
    origin: node.origin,
    frontPort: front.port,
    frontOrigin: front.origin,
    pid: node.pid,
    errorLog: async () => (await Promise.all(folders.map((folder) => read(folder, 'nginx.log')))).join(''),
    accessLog: (atLeast) => linesOf(folders, atLeast),
    stop: async () => {
      await Promise.all([front.stop(), node.stop()])
    },
  }
}

/** A node's nginx alone, with this repository's nginx.conf. */
export async function startNodeNginx(options: NginxOptions): Promise<NginxServer> {
  return await startConfigured(await writeSiteConfig(options))
}

/** The front alone, with this repository's packaging/nginx/front.conf. */
export async function startFront(options: FrontOptions): Promise<NginxServer> {
  return await startConfigured(await writeFrontConfig(options))
}

async function startConfigured(config: SiteConfig): Promise<NginxServer> {
  const { port, folder } = config
  const { pid, stop } = await startServer({
    name: 'nginx',
    command: await ensureNginx(),
    args: nginxArguments(config, ['-g', 'daemon off;']),
    folder,
    isReady: () => canConnect(port),
    readyTimeoutMs: READY_TIMEOUT_MS,
  })
  return { port, origin: `http://127.0.0.1:${port}`, pid, folder, stop }
}

/** A configuration of this repository made to run here. Whoever asked for it removes the folder. */
export interface SiteConfig {
  readonly folder: string
  readonly file: string
  readonly port: number
}

/** nginx.conf made to run here. */
export async function writeSiteConfig(options: NginxOptions): Promise<SiteConfig> {
  const { nodePort, cacheDir, directHits = true, alsoListen = '', site, without = [] } = options
  const lines = (options.edited ?? (await readFile(NODE_CONFIG, 'utf8'))).split('\n')
  const kept = lines.filter((line) => !without.some((text) => line.includes(text)))
  const { user, port } = options
  return await writeConfig(
    kept.join('\n'),
    { user, port },
    {
      'map "" $direct_hits { default on; }': `map "" $direct_hits { default ${directHits ? 'on' : 'off'}; }`,
      'map "" $hit_tree { default /var/cache/darkroom/renditions; }': `map "" $hit_tree { default ${cacheDir}/renditions; }`,
      'server 127.0.0.1:8080 max_conns=2560;': `server 127.0.0.1:${nodePort} max_conns=2560;`,
      'server 127.0.0.1:8080 max_conns=256;': `server 127.0.0.1:${nodePort} max_conns=256;`,
      '# listen [::]:80 default_server;': alsoListen,
      ...site,
    },
  )
}

export interface FrontOptions extends Pick<NginxOptions, 'user' | 'site' | 'edited'> {
  readonly nodes: readonly string[]
}

/** packaging/nginx/front.conf made to run here. */
export async function writeFrontConfig({ nodes, user, site = {}, edited }: FrontOptions): Promise<SiteConfig> {
  const config = edited ?? (await readFile(FRONT_CONFIG, 'utf8'))
  const shared = Object.entries(site).filter(([setting]) => config.includes(`${setting} `))
  const servers = (settings: string) => nodes.map((node) => `server ${node} ${settings};`).join(' ')
  return await writeConfig(
    config,
    { user },
    {
      'server 192.0.2.1:80 max_fails=2 fail_timeout=3s;': servers('max_fails=2 fail_timeout=3s'),
      'server 192.0.2.1:80 max_fails=0;': servers('max_fails=0'),
      ...Object.fromEntries(shared),
    },
  )
}

async function writeConfig(
  config: string,
  {
    user = userInfo().username,
    port: given,
  }: { readonly user?: string | undefined; readonly port?: number | undefined },
  own: Readonly<Record<string, string>>,
): Promise<SiteConfig> {
  const port = given ?? (await freePort())
  const folder = await createServerFolder('nginx')
  // The workers may run as another user.
  await chmod(folder, 0o755)
  const text = replaceSiteLines(config, {
    'user www-data;': process.getuid?.() === 0 ? `user ${user};` : '',
    'pid /run/nginx.pid;': `pid ${folder}/nginx.pid;`,
    'error_log /var/log/nginx/error.log warn;': 'error_log stderr warn;',
    'worker_rlimit_nofile 65536;': '',
    'client_body_temp_path /var/lib/nginx/body;': `client_body_temp_path ${folder}/body;`,
    'proxy_temp_path /var/lib/nginx/proxy;': `proxy_temp_path ${folder}/proxy;`,
    'fastcgi_temp_path /var/lib/nginx/fastcgi;': `fastcgi_temp_path ${folder}/fastcgi;`,
    'uwsgi_temp_path /var/lib/nginx/uwsgi;': `uwsgi_temp_path ${folder}/uwsgi;`,
    'scgi_temp_path /var/lib/nginx/scgi;': `scgi_temp_path ${folder}/scgi;`,
    'access_log /var/log/nginx/darkroom.log darkroom buffer=64k flush=1s;': `access_log ${folder}/access.log darkroom buffer=64k flush=1s;`,
    [config.includes(LISTEN_BESIDE_TLS) ? LISTEN_BESIDE_TLS : LISTEN]: `listen 127.0.0.1:${port} default_server;`,
    ...own,
  })
  const file = join(folder, 'nginx.conf')
  await writeFile(file, text)
  return { folder, file, port }
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
  if (unused.size > 0) throw new Error(`The configuration has no site line that says ${[...unused].join(' or ')}`)
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

async function linesOf(folders: readonly string[], atLeast: number): Promise<readonly string[]> {
  const deadline = Date.now() + LOG_TIMEOUT_MS
  for (;;) {
    const logs = await Promise.all(folders.map((folder) => read(folder, 'access.log')))
    const lines = logs.flatMap((log) => log.split('\n')).filter((line) => line !== '')
    if (lines.length >= atLeast) return lines
    if (Date.now() > deadline) throw new Error(`The access log has ${lines.length} lines and not ${atLeast}`)
    await delay(50)
  }
}

function read(folder: string, file: string): Promise<string> {
  return readFile(join(folder, file), 'utf8')
}
