import { once } from 'node:events'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Nginx, type NginxOptions, startNginx } from '../../tools/servers/nginx.ts'

/** An image's id for tests of nginx, which knows ids by their form only. */
export const ID = '3f2a'.padEnd(40, '0')
/** Its folder in the hit tree. */
export const FOLDER = `image/3f/2a/${ID}`
export const CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
/** What every picture carries, whichever way it came. */
export const PICTURE_HEADERS = {
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
  'timing-allow-origin': '*',
  'x-content-type-options': 'nosniff',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'accept-ranges': 'bytes',
} as const
const MTIME_SECONDS = 1_700_000_000

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface StandInNode {
  readonly port: number
  /** What has reached it, in order: `GET /path`. */
  readonly requests: readonly string[]
  stop(): Promise<void>
}

/** In the node's place behind nginx: it says what the test wants said. @param onPort By default one that is free. @param host An address of loopback. */
export async function startStandInNode(answer: Answer, onPort = 0, host = '127.0.0.1'): Promise<StandInNode> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await once(server.listen(onPort, host), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('A TCP server has a port')
  const stop = async () => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { port: address.port, requests, stop }
}

export interface Stage {
  readonly nginx: Nginx
  readonly node: StandInNode
  readonly cacheDir: string
  /** Writes a file of the hit tree, with the time that all renditions have. @param path Below `renditions`. */
  publish(path: string, content: string): Promise<string>
}

/** nginx before a stand-in node and an empty hit tree, until the test ends. */
export async function setStage(t: TestContext, answer: Answer, options: Partial<NginxOptions> = {}): Promise<Stage> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'darkroom-hit-tree-'))
  t.after(() => rm(cacheDir, { recursive: true, force: true }))
  const node = await startStandInNode(answer)
  t.after(() => node.stop())
  const nginx = await startNginx({ nodePort: node.port, cacheDir, ...options })
  t.after(() => nginx.stop())
  const publish = async (path: string, content: string) => {
    const file = join(cacheDir, 'renditions', path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
    await utimes(file, MTIME_SECONDS, MTIME_SECONDS)
    return file
  }
  return { nginx, node, cacheDir, publish }
}

/** A plain answer of the node's, which nginx must pass on as it is. */
export const answerOwn: Answer = (request, response) => {
  request.resume()
  response
    .writeHead(299, { 'Content-Type': 'text/plain', 'X-Own': 'yes' })
    .end(`node saw ${request.method} ${request.url}`)
}
