import { createServer as createHttpServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createRemoteSource, type RemoteSourceSettings } from '../../src/adapters/hosts/remote-source.ts'
import { parseAddressBlock } from '../../src/domain/network/ip-address.ts'
import { parseRemoteHost } from '../../src/domain/network/remote-hosts.ts'
import type { RemoteSource } from '../../src/service/ports/remote.ts'
import type { Scope } from '../processes/scope.ts'

export interface RemoteHostServer {
  readonly port: number
  /** As `http://127.0.0.1:4711`. */
  readonly origin: string
  readonly requests: { readonly url: string; readonly headers: IncomingHttpHeaders }[]
  /** Connections that were accepted so far. */
  readonly accepted: () => number
  /** Those that are open now. */
  readonly open: () => number
  readonly sockets: () => Iterable<Socket>
  /** The other end is told nothing. */
  readonly stop: () => Promise<void>
}

export interface Listening {
  readonly address?: string
  readonly port?: number
}

/** A host of remote images, on loopback. */
export async function startRemoteHost(
  t: Scope,
  listener: RequestListener,
  listening: Listening = {},
): Promise<RemoteHostServer> {
  const requests: RemoteHostServer['requests'] = []
  const server = createHttpServer((request, response) => {
    requests.push({ url: request.url ?? '', headers: request.headers })
    listener(request, response)
  })
  return { ...(await listen(t, server, listening)), requests }
}

/** One that speaks no HTTP of its own. @param answer Called when the head of a request has come. */
export async function startRawHost(
  t: Scope,
  answer: (socket: Socket) => void,
): Promise<Omit<RemoteHostServer, 'requests'>> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (chunk.includes('\r\n\r\n')) answer(socket)
    })
  })
  return listen(t, server, {})
}

/** Counts and ends the connections of a server of whichever kind. */
export async function listen(
  t: Scope,
  server: Server,
  { address = '127.0.0.1', port: wanted = 0 }: Listening,
): Promise<Omit<RemoteHostServer, 'requests'>> {
  const sockets = new Set<Socket>()
  let accepted = 0
  server.on('connection', (socket: Socket) => {
    accepted += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.on('error', reject)
  server.listen({ port: wanted, host: address }, resolve)
  await promise
  const stop = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>()
    server.close(() => closed.resolve())
    for (const socket of sockets) socket.destroy()
    await closed.promise
  }
  t.after(stop)
  const { port } = portOf(server)
  const host = address.includes(':') ? `[${address}]` : address
  return {
    port,
    origin: `http://${host}:${port}`,
    accepted: () => accepted,
    open: () => sockets.size,
    sockets: () => sockets,
    stop,
  }
}

function portOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no TCP port')
  return address
}

/** What an operator would write; the rest has defaults. */
export interface RemoteSettings extends Partial<Omit<RemoteSourceSettings, 'hosts' | 'allowedAddresses'>> {
  readonly hosts: readonly string[]
  readonly allowedAddresses?: readonly string[]
}

const DEFAULTS = {
  dnsServers: ['127.0.0.1:1'],
  formats: ['jpeg', 'png'],
  maxBytes: 2 ** 20,
  defaultFreshSeconds: 300,
} as const satisfies Partial<RemoteSourceSettings>

/** The adapter, with loopback allowed. */
export function remoteSource(t: Scope, settings: RemoteSettings): RemoteSource {
  const { hosts, allowedAddresses = ['127.0.0.1/32'], ...rest } = settings
  const source = createRemoteSource({
    ...DEFAULTS,
    ...rest,
    hosts: hosts.map(parseRemoteHost),
    allowedAddresses: allowedAddresses.map(parseAddressBlock),
  })
  t.after(() => source.close())
  return source
}
