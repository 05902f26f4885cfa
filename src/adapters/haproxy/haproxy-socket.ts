import { once } from 'node:events'
import { connect } from 'node:net'
import type { FrontAction } from '../../domain/network/front-plan.ts'
import { type HaproxyServer, parseHaproxyServers } from '../../domain/network/haproxy-servers.ts'

/** HAProxy did not do what was asked. The message says why. */
class HaproxyError extends Error {}

/** The runtime socket of HAProxy, with `level admin`. Every method throws `HaproxyError`. */
export interface HaproxySocket {
  /** The servers of all backends. */
  servers(signal: AbortSignal): Promise<readonly HaproxyServer[]>
  /** @returns `busy` if a server still has connections and cannot be removed yet. */
  apply(action: FrontAction, signal: AbortSignal): Promise<'done' | 'busy'>
}

const TIMEOUT_MS = 3000
const MAX_ANSWER_CHARACTERS = 8_000_000
/** Each command answers with a text, also if it succeeded; there is no code. */
const SUCCESS = /^(?:New server registered\.|Server deleted\.|(?:IP|port|no need to|nothing) .*|)$/
const BUSY = 'still has connections'

/** @param path Of the UNIX socket, as in the line `stats socket`. */
export function createHaproxySocket(path: string): HaproxySocket {
  return {
    async servers(signal) {
      const answer = await ask(path, 'show servers state', signal)
      const servers = parseHaproxyServers(answer)
      if (servers === undefined) throw new HaproxyError(`HAProxy refused "show servers state": ${firstLine(answer)}`)
      return servers
    },
    async apply({ commands }, signal) {
      const lines = (await ask(path, commands.join(';'), signal)).split('\n').map((line) => line.trim())
      const refused = lines.filter((line) => !SUCCESS.test(line))
      if (refused.length === 0) return 'done'
      if (refused.every((line) => line.includes(BUSY))) return 'busy'
      throw new HaproxyError(`HAProxy refused "${commands[0]}": ${refused.join(' ')}`)
    },
  }
}

async function ask(path: string, line: string, stopping: AbortSignal): Promise<string> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(TIMEOUT_MS)])
  const socket = connect({ path, signal })
  try {
    await once(socket, 'connect', { signal })
    socket.setEncoding('utf8')
    socket.end(`${line}\n`)
    let answer = ''
    for await (const chunk of textOf(socket)) {
      answer += chunk
      if (answer.length > MAX_ANSWER_CHARACTERS) throw new HaproxyError('The answer of HAProxy is too long')
    }
    return answer.trim()
  } catch (error) {
    stopping.throwIfAborted()
    if (error instanceof HaproxyError) throw error
    throw new HaproxyError(`${path}: ${reasonOf(error, signal)}`, { cause: error })
  } finally {
    socket.destroy()
  }
}

/** `setEncoding` makes them texts, which the type of a stream does not tell. */
function textOf(socket: AsyncIterable<string>): AsyncIterable<string> {
  return socket
}

function reasonOf(error: unknown, { aborted }: AbortSignal): string {
  if (aborted) return `HAProxy does not respond within ${TIMEOUT_MS / 1000} s`
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT')
    return 'the socket does not exist: is HAProxy running, with this path in its line "stats socket"?'
  if (code === 'ECONNREFUSED') return 'HAProxy is not running'
  if (code === 'EACCES') return 'this user may not use the socket: see "group" in the line "stats socket"'
  return error instanceof Error ? error.message : String(error)
}

function firstLine(text: string): string {
  return text.split('\n')[0]?.slice(0, 200) ?? ''
}
