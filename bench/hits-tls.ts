import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { freePort } from '../tools/processes/free-port.ts'
import { commandOutput, createServerFolder } from '../tools/processes/process.ts'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { makeCertificate } from '../tools/servers/certificate.ts'
import { ensureCommand } from '../tools/servers/debian-packages.ts'
import { type NginxServer, startNodeNginx } from '../tools/servers/nginx.ts'
import { type Figure, measureInTurn, median } from './measure.ts'

const WAYS = ['plain', 'tlsHttp1', 'tlsHttp2', 'handshake', 'resumed'] as const
type Way = (typeof WAYS)[number]

const NAMES = {
  plain: 'HTTP/1.1 without TLS',
  tlsHttp1: 'HTTP/1.1 over TLS',
  tlsHttp2: 'HTTP/2 over TLS',
  handshake: 'a new TLS connection each',
  resumed: 'a new TLS connection each, resumed',
} as const satisfies Record<Way, string>

const CONNECTIONS = 16
const STREAMS = 8
/** Of each connection: nginx closes one after 10,000, with its streams. */
const REQUESTS_EACH = 5000

export interface TlsStage {
  readonly plain: string
  readonly secure: string
  readonly nginx: NginxServer
}

/** CPU of nginx for a direct hit, µs, by way of connecting. */
export type TlsRuns = ReadonlyMap<Way, readonly number[]>

/** A node's nginx that also listens with TLS, with the settings that docs/tls.md uncomments. */
export async function setTlsStage(
  { nodePort, cacheDir, path }: { readonly nodePort: number; readonly cacheDir: string; readonly path: string },
  started: (server: NginxServer) => NginxServer,
): Promise<TlsStage> {
  const folder = await createServerFolder('tls')
  const { cert, key } = await makeCertificate({ names: ['IP:127.0.0.1'] })
  await writeFile(join(folder, 'cert.pem'), cert)
  await writeFile(join(folder, 'key.pem'), key)
  const port = await freePort()
  const alsoListen = [
    `listen 127.0.0.1:${port} ssl http2 default_server;`,
    `ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;`,
    'ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m; ssl_session_tickets off;',
  ].join(' ')
  const nginx = started(await startNodeNginx({ nodePort, cacheDir, alsoListen }))
  return { plain: nginx.origin + path, secure: `https://127.0.0.1:${port}${path}`, nginx }
}

/** Measures all ways in turn. */
export async function measureTls(stage: TlsStage, smoke: boolean): Promise<TlsRuns> {
  return await measureInTurn(WAYS, smoke ? 1 : 5, async (way) => {
    const before = await cpuSeconds(stage.nginx.pid)
    const requests = await request(stage, way, smoke)
    return (((await cpuSeconds(stage.nginx.pid)) - before) / requests) * 1e6
  })
}

export function tlsFigures(runs: TlsRuns): readonly Figure[] {
  return WAYS.map((way) => ({
    name: `CPU of nginx for a hit: ${NAMES[way]}`,
    value: median(runs.get(way) ?? []),
    unit: 'µs',
  }))
}

/** @returns how many requests were answered. */
async function request({ plain, secure }: TlsStage, way: Way, smoke: boolean): Promise<number> {
  const each = smoke ? 1000 : REQUESTS_EACH
  if (way === 'plain') return await loadWithH2load(['--h1', plain], each)
  if (way === 'tlsHttp1') return await loadWithH2load(['--h1', secure], each)
  if (way === 'tlsHttp2') return await loadWithH2load([`-m${STREAMS}`, secure], each)
  return await connectAgain(secure, way === 'resumed', smoke ? 1 : 2)
}

/** @throws Error if anything but 2xx came back. */
async function loadWithH2load(options: readonly string[], each: number): Promise<number> {
  const command = await ensureCommand('h2load', { packages: ['nghttp2-client'], services: [] })
  const output = await commandOutput(command, [`-c${CONNECTIONS}`, '-t2', `-n${CONNECTIONS * each}`, ...options])
  const counts = /^requests: .* (?<done>\d+) succeeded, (?<failed>\d+) failed/m.exec(output ?? '')?.groups
  if (counts === undefined || counts['failed'] !== '0') throw new Error(`h2load ${options.join(' ')}:\n${output}`)
  return Number(counts['done'])
}

/** Requests on a connection of their own, one after the other. @param resumed Whether each resumes the session of the one before. */
async function connectAgain(url: string, resumed: boolean, seconds: number): Promise<number> {
  const agent = new Agent({ rejectUnauthorized: false, maxCachedSessions: resumed ? 1 : 0 })
  if (resumed) await viewOnce(url, agent)
  const end = performance.now() + seconds * 1000
  let requests = 0
  for (; performance.now() < end; requests += 1) {
    assert.equal(await viewOnce(url, agent), resumed, 'whether the session was resumed')
  }
  agent.destroy()
  return requests
}

/** @returns Whether the session was resumed. */
function viewOnce(url: string, agent: Agent): Promise<boolean> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      assert.equal(response.statusCode, 200)
      const { socket } = response
      const isResumed = socket instanceof TLSSocket && socket.isSessionReused()
      response.resume().once('close', () => resolve(isResumed))
    }).once('error', reject)
  })
}
