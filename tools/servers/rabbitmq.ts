import { mkdir, writeFile } from 'node:fs/promises'
import { connect as openSocket } from 'node:net'
import { join } from 'node:path'
import { type Channel, connect } from 'amqplib'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, type RunningServer, runQuietly, startServer } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { makeCertificate } from './certificate.ts'
import { ensureRabbitmq } from './install-servers.ts'
import { stopAfter, temporaryFolder } from './site.ts'

/** Debian's wrappers in /usr/sbin change to the user of the system's broker. */
const PROGRAMS = '/usr/lib/rabbitmq/bin'
const READY_WITHIN_MS = 120_000

/** RabbitMQ on loopback, with the user `guest`, whose password is `guest`. */
export interface RabbitMq {
  readonly url: string
  readonly tlsUrl: string
  /** PEM file of the authority of its certificate. */
  readonly authority: string
  readonly pid: () => number
  /** SIGKILL. */
  kill(): Promise<void>
  /** After `kill`, with the same queues. */
  start(): Promise<void>
  /** Runs `rabbitmqctl`. */
  control(...args: readonly string[]): Promise<string>
  /** Of a new connection of the user `guest`, until the end. */
  channel(): Promise<Channel>
}

/** RabbitMQ until the end of the test, with its own name service. */
export async function startRabbitmq(t: Scope): Promise<RabbitMq> {
  await ensureRabbitmq()
  const folder = await temporaryFolder(t)
  const ports = { plain: await freePort(), tls: await freePort(), names: await freePort(), nodes: await freePort() }
  const names = await startNames(ports.names)
  stopAfter(t, names.stop)
  const authority = join(folder, 'certificate.pem')
  const key = join(folder, 'key.pem')
  const made = await makeCertificate({ names: ['IP:127.0.0.1'] })
  await writeFile(authority, made.cert)
  await writeFile(key, made.key)
  const env = await writeSettings(folder, ports, { authority, key })
  let server = await startBroker(env, ports.plain)
  stopAfter(t, async () => await server.stop())
  const url = `amqp://127.0.0.1:${ports.plain}`
  return {
    url,
    tlsUrl: `amqps://127.0.0.1:${ports.tls}`,
    authority,
    pid: () => server.pid,
    kill: async () => await server.stop(),
    async start() {
      server = await startBroker(env, ports.plain)
    },
    control: (...args) => runQuietly(join(PROGRAMS, 'rabbitmqctl'), args, { ...process.env, ...env }),
    async channel() {
      const connection = await connect(url)
      // A test ends the broker.
      connection.on('error', () => {})
      t.after(() => connection.close().catch(() => {}))
      return await connection.createChannel()
    },
  }
}

/** Otherwise the broker would start one that outlives it. */
async function startNames(port: number): Promise<RunningServer> {
  return await startServer({
    name: 'epmd',
    command: 'epmd',
    args: ['-port', String(port), '-address', '127.0.0.1'],
    folder: await createServerFolder('epmd'),
    isReady: () => accepts(port),
    readyTimeoutMs: READY_WITHIN_MS,
    endsBy: 'KILL',
  })
}

interface Ports {
  readonly plain: number
  readonly tls: number
  readonly names: number
  /** For `rabbitmqctl`. */
  readonly nodes: number
}

/** @returns The environment of the broker and of `rabbitmqctl`. */
async function writeSettings(
  folder: string,
  { plain, tls, names, nodes }: Ports,
  pem: { readonly authority: string; readonly key: string },
) {
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${plain}`,
    `listeners.ssl.1 = 127.0.0.1:${tls}`,
    `ssl_options.certfile = ${pem.authority}`,
    `ssl_options.keyfile = ${pem.key}`,
    'ssl_options.verify = verify_none',
    'log.console = true',
    'log.file = false',
  ]
  const config = join(folder, 'rabbitmq.conf')
  await writeFile(config, `${lines.join('\n')}\n`)
  const home = join(folder, 'home')
  await mkdir(home)
  return {
    HOME: home,
    ERL_EPMD_PORT: String(names),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `darkroom-${plain}@localhost`,
    RABBITMQ_DIST_PORT: String(nodes),
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    // Becomes the broker instead of waiting for it, and reads no commands from standard input.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none',
  }
}

async function startBroker(env: Readonly<Record<string, string>>, port: number): Promise<RunningServer> {
  return await startServer({
    name: 'rabbitmq',
    command: join(PROGRAMS, 'rabbitmq-server'),
    args: [],
    folder: await createServerFolder('rabbitmq'),
    env,
    async isReady() {
      if (!(await accepts(port))) return false
      await (await connect(`amqp://127.0.0.1:${port}`, { timeout: 5000 })).close()
      return true
    },
    readyTimeoutMs: READY_WITHIN_MS,
    endsBy: 'KILL',
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = openSocket(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
