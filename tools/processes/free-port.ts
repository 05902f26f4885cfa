import { createServer, type Server } from 'node:net'

/** Below the range that the kernel gives to outgoing connections: none of those can take a port before a server does. */
const LOWEST = 20_000
const RANGES = 40
const RANGE = 300

let own: Promise<number> | undefined
const given = new Set<number>()

/**
 * A TCP port on 127.0.0.1 that nobody listens on. It is not held: start the server soon.
 *
 * @returns A port that this process has not been given before, from 20,001 to 31,999, of a range that no other process of
 * the tests or benchmarks has. Of two that were given the same port one would take the other's server, which is faster,
 * for its own.
 */
export async function freePort(): Promise<number> {
  own ??= claimRange()
  const first = await own
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const port = first + 1 + Math.floor(Math.random() * (RANGE - 1))
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error(`No free port found from ${first + 1} to ${first + RANGE - 1}`)
}

/** The first port of a range is listened on for as long as the process lasts that has the range. */
async function claimRange(): Promise<number> {
  for (let attempt = 0; attempt < RANGES; attempt += 1) {
    const first = LOWEST + ((process.pid + attempt) % RANGES) * RANGE
    const server = await listenOn(first)
    server?.unref()
    if (server) return first
  }
  throw new Error(`${RANGES} processes have all ports from ${LOWEST} to ${LOWEST + RANGES * RANGE - 1}`)
}

export async function isFree(port: number): Promise<boolean> {
  const server = await listenOn(port)
  await server?.[Symbol.asyncDispose]()
  return server !== undefined
}

/** @returns undefined if the port is taken. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}
