import { createServer } from 'node:net'

/** Below the range that the kernel gives to outgoing connections: none of those can take a port before a server does. */
const LOWEST = 20_000
/**
 * The runner and the test files that it runs at a time have a range each: with one for two, each would now and then take the
 * other's server, which is faster, for its own.
 */
const RANGES = 40
const RANGE = 300

const FIRST = LOWEST + (rangeOf(process.env['NODE_TEST_WORKER_ID']) % RANGES) * RANGE
const given = new Set<number>()

/**
 * A TCP port on 127.0.0.1 that nobody listens on. It is not held: start the server soon.
 *
 * @returns A port that this process has not been given before, from 20,000 to 31,999, of the range of this process.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * RANGE)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error(`No free port found from ${FIRST} to ${FIRST + RANGE - 1}`)
}

/** @param worker Counts the files that run at a time, from 1; undefined in what is no test file. */
function rangeOf(worker: string | undefined): number {
  return worker === undefined ? process.pid : process.ppid + Number(worker)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
