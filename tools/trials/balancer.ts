import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Scope } from '../processes/scope.ts'

/**
 * Passes connections on to servers in turn, or to the next one if a server is not listening.
 * @param onConnection Called for each connection with both ends; it may end them.
 * @returns the port.
 */
export async function startBalancer(
  scope: Scope,
  ports: readonly number[],
  onConnection: (client: Socket, server: Socket) => void = () => {},
): Promise<number> {
  let turn = 0
  const sockets = new Set<Socket>()

  function pass(client: Socket, tries: number): void {
    turn += 1
    const server = connect(ports[turn % ports.length] ?? 0, '127.0.0.1')
    server.once('connect', () => {
      sockets.add(server)
      server.once('close', () => sockets.delete(server))
      client.pipe(server)
      server.pipe(client)
      onConnection(client, server)
    })
    server.on('error', () => (server.bytesWritten === 0 && tries > 0 ? pass(client, tries - 1) : client.destroy()))
    client.once('close', () => server.destroy())
  }

  const listener = createServer((client) => {
    sockets.add(client)
    client.on('error', () => {})
    client.once('close', () => sockets.delete(client))
    pass(client, ports.length)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  scope.after(() => {
    listener.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = listener.address()
  if (typeof address !== 'object' || address === null) throw new TypeError('A TCP server has a port')
  return address.port
}
