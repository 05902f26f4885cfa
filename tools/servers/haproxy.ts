import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { FRONT_BACKENDS } from '../../src/domain/network/front-plan.ts'
import { serverId } from '../../src/domain/network/server-id.ts'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { ensureHaproxy } from './install-servers.ts'
import { replaceSiteLines } from './nginx.ts'

const CONFIG = new URL('../../packaging/haproxy/haproxy.cfg', import.meta.url)
const ORIGINALS = fileURLToPath(new URL('../../packaging/haproxy/originals.map', import.meta.url))
const ORIGINALS_LINE = 'http-request set-var(txn.key) var(txn.asked),map_regm(/etc/haproxy/originals.map)'
const SERVER_LINE = '# server node1 192.0.2.1:80 id 1'
const READY_TIMEOUT_MS = 20_000
const WAIT_MS = 30_000

/** The backends of the configuration: every node is a server in each. */
export const BACKENDS = FRONT_BACKENDS

export interface HaproxyNode {
  readonly name: string
  /** `host:port` of its nginx, or of the process itself. */
  readonly address: string
}

export interface HaproxyOptions {
  /** By default none: they are added at run time. */
  readonly nodes?: readonly HaproxyNode[]
  /** More lines marked `# site`: the text before the mark, and its replacement. */
  readonly site?: Readonly<Record<string, string>>
  /** Path of the runtime socket. Default: in its temporary folder. */
  readonly socket?: string
  /** By default one that is free. */
  readonly port?: number
}

/** A front with this repository's packaging/haproxy/haproxy.cfg. */
export interface Haproxy {
  readonly origin: string
  readonly pid: number
  /** Path of the runtime socket. */
  readonly socket: string
  /** Sends a command to the runtime socket. @returns its answer. */
  command(line: string): Promise<string>
  /** `host:port` of the exporter of Prometheus. */
  readonly metricsAddress: string
  /** Values of that exporter. */
  metrics(): Promise<string>
  /** State of a server as `show stat` has it, such as `UP` or `DRAIN`; undefined if there is no such server. */
  state(backend: (typeof BACKENDS)[number], name: string): Promise<string | undefined>
  /** Waits until a server is in that state. */
  becomes(backend: (typeof BACKENDS)[number], name: string, state: string): Promise<void>
  /** Waits until a backend has no such server. */
  isGone(backend: (typeof BACKENDS)[number], name: string): Promise<void>
  /** The access log's lines, as soon as there are `atLeast` so many. */
  accessLog(atLeast: number): Promise<readonly Readonly<Record<string, unknown>>[]>
  stop(): Promise<void>
}

/** @throws Error with HAProxy's log if it does not accept connections in time. */
export async function startHaproxy({ nodes = [], site = {}, ...own }: HaproxyOptions = {}): Promise<Haproxy> {
  const command = await ensureHaproxy()
  const folder = await createServerFolder('haproxy')
  const [port, metricsPort] = [own.port ?? (await freePort()), await freePort()]
  const socket = own.socket ?? join(folder, 'admin.sock')
  const servers = nodes.map(({ name, address }) => `server ${name} ${address} id ${serverId(name)}`)
  const config = replaceSiteLines(await readFile(CONFIG, 'utf8'), {
    'user haproxy': '',
    'group haproxy': '',
    'stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin': `stats socket ${socket} mode 660 level admin`,
    'maxconn 8192': 'maxconn 4000',
    'bind :80': `bind 127.0.0.1:${port}`,
    'bind 127.0.0.1:8405': `bind 127.0.0.1:${metricsPort}`,
    [ORIGINALS_LINE]: ORIGINALS_LINE.replace('/etc/haproxy/originals.map', ORIGINALS),
    [SERVER_LINE]: servers.join(' # site\n  '),
    ...site,
  })
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, config)
  const server = await startServer({
    name: 'haproxy',
    command,
    args: ['-db', '-f', file],
    folder,
    isReady: async () => (await ask(socket, 'show info')) !== '',
    readyTimeoutMs: READY_TIMEOUT_MS,
    endsBy: 'KILL',
  })
  const state: Haproxy['state'] = async (backend, name) => stateIn(await ask(socket, 'show stat'), backend, name)
  return {
    origin: `http://127.0.0.1:${port}`,
    pid: server.pid,
    socket,
    metricsAddress: `127.0.0.1:${metricsPort}`,
    command: (line) => ask(socket, line),
    metrics: async () => (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(),
    state,
    becomes: (backend, name, wanted) =>
      until(`${backend}/${name} is ${wanted}`, async () => (await state(backend, name)) === wanted),
    isGone: (backend, name) =>
      until(`${backend}/${name} is gone`, async () => (await state(backend, name)) === undefined),
    accessLog: (atLeast) => linesOf(join(folder, 'haproxy.log'), atLeast),
    stop: server.stop,
  }
}

async function ask(socket: string, command: string): Promise<string> {
  const connection = connect(socket)
  connection.end(`${command}\n`)
  return (await text(connection)).trim()
}

function stateIn(csv: string, backend: string, name: string): string | undefined {
  const [header = '', ...rows] = csv.split('\n')
  const column = header.replace(/^# /, '').split(',').indexOf('status')
  return rows.map((row) => row.split(',')).find(([proxy, server]) => proxy === backend && server === name)?.[column]
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Not in ${WAIT_MS} ms: ${what}`)
    await delay(20)
  }
}

async function linesOf(file: string, atLeast: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const read = async () =>
    (await readFile(file, 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => jsonFields(line))
  await until(`${file} has ${atLeast} lines`, async () => (await read()).length >= atLeast)
  return await read()
}
