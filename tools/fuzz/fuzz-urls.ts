import fc from 'fast-check'
import type { Answer } from '../requests/ask.ts'
import { createKeptConnection, type KeptConnection } from '../requests/kept-connection.ts'
import { anyUrl, type UrlWorld } from './any-url.ts'
import { byClients, FUZZ_CLIENTS } from './fuzz-clients.ts'
import { createFuzzTally, type FuzzReport, problemOfRemoteError } from './fuzz-finding.ts'

export interface UrlFuzz {
  readonly port: number
  /** What stands on it, for messages. */
  readonly server: 'node' | 'nginx'
  readonly world: UrlWorld
  readonly count: number
  /** The same one makes the same URLs. */
  readonly seed: number
  readonly seconds: number
}

const BATCH = 500
const ACCEPTS = ['image/avif,image/webp,*/*', '*/*', 'image/webp;q=0', 'text/html'] as const

/** Asks for generated URLs on connections that are kept, and writes down every answer that must not be. */
export async function fuzzUrls({ port, server, world, count, seed, seconds }: UrlFuzz): Promise<FuzzReport> {
  const arbitrary = anyUrl(world)
  const tally = createFuzzTally()
  const waiting: string[] = []

  /** In batches, each with a seed of its own: they need not all be in memory. */
  function next(number: number): string {
    if (waiting.length === 0) waiting.push(...fc.sample(arbitrary, { numRuns: BATCH, seed: seed * 100_003 + number }))
    return (waiting.pop() ?? '/').replaceAll(/[\r\n]/g, '%0A')
  }

  async function askOne(connection: KeptConnection, number: number): Promise<void> {
    const target = next(number)
    const of = { request: `${server} ${target}` }
    try {
      const answer = await connection.get(target, { Accept: ACCEPTS[number % ACCEPTS.length] ?? '*/*' })
      tally.answered(String(answer.status), answer.ms, of, problemOf(answer))
    } catch (error) {
      tally.failed(of, error)
    }
  }

  const connections = Array.from({ length: FUZZ_CLIENTS }, () => createKeptConnection(port))
  const urls = await byClients({ count, seconds }, async (number, client) => {
    const connection = connections[client]
    if (connection) await askOne(connection, number)
  })
  for (const connection of connections) connection.close()
  return tally.report(urls)
}

function problemOf(answer: Answer): string | undefined {
  const { status, headers } = answer
  if (status === 200) return problemOfContent(headers)
  if (status === 301 || status === 302) return problemOfRedirect(headers.get('location') ?? '')
  // rethumb's errors are pictures.
  const isPicture = headers.has('rethumb-error-message') && headers.get('content-type') === 'image/png'
  if (!isPicture) return problemOfRemoteError(answer)
  const isNormal = headers.get('cache-control') === 'no-store' && (status === 400 || status === 503)
  return isNormal ? undefined : `${status} picture with Cache-Control: ${headers.get('cache-control')}`
}

/** Health and metrics are for machines; and to nginx a node only says which file it is to send. */
function problemOfContent(headers: Headers): string | undefined {
  if (headers.get('x-content-type-options') === 'nosniff' || headers.has('x-accel-redirect')) return undefined
  const type = headers.get('content-type') ?? ''
  return /^(?:text\/plain|application\/json)/.test(type) ? undefined : `${type} without nosniff`
}

/** To another path of ours, and to nobody else. */
function problemOfRedirect(location: string): string | undefined {
  return /^\/(?![/\\])[\x21-\x7e]*$/.test(location) ? undefined : `redirects to ${JSON.stringify(location)}`
}
