import { createServer } from 'node:net'

/** Below the range that the kernel gives to outgoing connections: none of those can take a port before a server does. */
const LOWEST = 20_000
const HIGHEST = 32_000

const given = new Set<number>()

/**
 * A TCP port on 127.0.0.1 that nobody listens on. It is not held: start the server soon.
 *
 * @returns A port that this process has not been given before, from 20,000 to 31,999.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error(`No free port found from ${LOWEST} to ${HIGHEST - 1}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
