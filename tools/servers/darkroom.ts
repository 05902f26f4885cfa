import { chmod, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { TOKEN } from '../requests/token.ts'

const BACKGROUND_WITHIN_MS = 120_000
/** As `npm start` has them. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--heap-growing-percent=50'] as const
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface DarkroomOptions {
  /**
   * On top of a store and a cache in the server's own temporary folder, `TOKEN` as upload token, and no time for draining. An
   * empty value unsets a variable.
   */
  readonly env?: Readonly<Record<string, string>>
  /** By default one that is free. */
  readonly port?: number
  /** Don't wait until it is ready: only until it answers. */
  readonly unready?: boolean
  /** A command that becomes the node, with the node's own command line as its last arguments: a shell that `exec`s it. */
  readonly through?: readonly string[]
  /** Another version of this program. */
  readonly main?: string
}

/** A node of the service in a process of its own, as `npm start` runs it. */
export interface Darkroom {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly cacheDir: string
  /** Everything it has printed so far. */
  output(): Promise<string>
  /** Its log so far, a value a line. */
  log(): Promise<Readonly<Record<string, unknown>>[]>
  /** Value of a metric; the sum over its labels, or of the sample whose labels are `{…}` as written. 0 if there is none. */
  metric(name: string, labels?: string): Promise<number>
  /** SIGTERM, as a process manager does it; resolves when it has ended. */
  stop(): Promise<void>
}

export async function startDarkroom(options: DarkroomOptions = {}): Promise<Darkroom> {
  const folder = await createServerFolder('node')
  // nginx's workers may run as another user, and the node warns of a cache that they cannot read.
  await chmod(folder, 0o755)
  const port = options.port ?? Number(options.env?.['PORT'] ?? (await freePort()))
  const url = `http://127.0.0.1:${port}`
  const cacheDir = options.env?.['CACHE_DIR'] ?? join(folder, 'cache')
  await mkdir(cacheDir, { recursive: true })
  const env = {
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '65536',
    MALLOC_TRIM_THRESHOLD_: '8388608',
    UV_THREADPOOL_SIZE: '16',
    STORE: `file:${join(folder, 'data')}`,
    CACHE_DIR: cacheDir,
    PORT: String(port),
    UPLOAD_TOKENS: TOKEN,
    DRAIN_SECONDS: '0',
    ...options.env,
  }
  const isReady = async () => (await fetch(`${url}/${options.unready ? 'healthz' : 'readyz'}`)).ok
  const own = [process.execPath, ...NODE_OPTIONS, options.main ?? MAIN]
  const [command = process.execPath, ...args] = options.through ? [...options.through, ...own] : own
  const server = await startServer({
    name: 'node',
    command,
    args,
    folder,
    env,
    isReady,
    readyTimeoutMs: 20_000,
  })
  const output = () => readFile(join(folder, 'node.log'), 'utf8')
  return {
    url,
    port,
    pid: server.pid,
    cacheDir,
    output,
    async log() {
      const lines = (await output()).split('\n').filter((line) => line.startsWith('{'))
      return lines.map(jsonFields)
    },
    async metric(name, labels = '') {
      const text = await (await fetch(`${url}/metrics`)).text()
      const samples = text
        .split('\n')
        .filter((line) => line.startsWith(`${name}${labels} `) || (labels === '' && line.startsWith(`${name}{`)))
      return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    },
    stop: () => server.stop(),
  }
}

/** Uploads an image. @param token Empty: none is sent. */
export async function upload(
  url: string,
  bytes: Buffer | Uint8Array,
  type = 'image/jpeg',
  token: string = TOKEN,
): Promise<Response> {
  const headers = { 'Content-Type': type, ...(token !== '' && { Authorization: `Bearer ${token}` }) }
  return await fetch(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes) })
}

/** Uploads a file of `test/fixtures`. @returns its id. */
export async function uploadFixture(url: string, name: string, token: string = TOKEN): Promise<string> {
  const response = await upload(url, await fixture(name), 'application/octet-stream', token)
  const { id } = jsonFields(await response.text())
  if (typeof id !== 'string') throw new TypeError(`${name} was not taken: ${response.status}`)
  return id
}

/** Resolves when the node has made all that it makes ahead. */
export async function backgroundIsDone(node: Darkroom): Promise<void> {
  const deadline = performance.now() + BACKGROUND_WITHIN_MS
  while ((await node.metric('darkroom_background_tasks_pending')) > 0) {
    if (performance.now() > deadline) throw new Error('The node has been at work in the background for too long')
    await delay(50)
  }
}

/** A line of the node's log, when it is there: lines are written in bundles, half a second later at most. */
export async function untilLogged(
  node: Darkroom,
  isIt: (line: Readonly<Record<string, unknown>>) => boolean,
): Promise<Readonly<Record<string, unknown>>> {
  for (;;) {
    const line = (await node.log()).find(isIt)
    if (line) return line
    await delay(50)
  }
}

export function fixture(name: string): Promise<Buffer> {
  return readFile(new URL(`../../test/fixtures/${name}`, import.meta.url))
}
