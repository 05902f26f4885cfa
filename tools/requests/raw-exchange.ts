import { connect, type Socket } from 'node:net'

/** A server that waits for more by then got less than it thinks: that, too, is an answer to look at. */
const WAITING_MS = 3000

/** One answer of several on a connection. */
export interface RawAnswer {
  readonly status: number
  /** By name in lower case; of several the last. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Sends these bytes and reads until the other end closes, gently or by a reset. Let the last request say `Connection: close`.
 *
 * @param bytes One character a byte.
 * @param waitingMs Silence of so long ends it.
 * @returns what came, a character a byte.
 */
export async function rawExchange(origin: string, bytes: string, waitingMs = WAITING_MS): Promise<string> {
  const { port } = new URL(origin)
  const socket = connect(Number(port), '127.0.0.1')
  socket.setTimeout(waitingMs, () => socket.destroy())
  socket.write(Buffer.from(bytes, 'latin1'))
  return (await untilClosed(socket)).toString('latin1')
}

/** What comes until the connection is closed, gently or by a reset: what was answered before that counts. */
export async function untilClosed(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('close', () => resolve())
  await promise
  return Buffer.concat(chunks)
}

/** The answers in what came. @throws Error for what is none. */
export function parseAnswers(text: string): readonly RawAnswer[] {
  const answers: RawAnswer[] = []
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n')
    const [statusLine = '', ...lines] = rest.slice(0, Math.max(0, end)).split('\r\n')
    const status = Number(/^HTTP\/1\.[01] (?<status>\d{3}) /.exec(statusLine)?.groups?.['status'])
    if (end < 0 || Number.isNaN(status)) throw new Error(`This is no answer: ${JSON.stringify(rest.slice(0, 200))}`)
    const headers = Object.fromEntries(lines.map(headerOf))
    const isChunked = headers['transfer-encoding'] === 'chunked'
    const { body, length } = isChunked ? unchunk(rest.slice(end + 4)) : whole(rest.slice(end + 4), headers)
    // "100 Continue" and the like come before an answer.
    if (status >= 200) answers.push({ status, headers, body })
    rest = rest.slice(end + 4 + length)
  }
  return answers
}

function headerOf(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}

function whole(text: string, headers: Readonly<Record<string, string>>): { body: string; length: number } {
  const body = text.slice(0, Number(headers['content-length'] ?? 0))
  return { body, length: body.length }
}

function unchunk(text: string): { body: string; length: number } {
  let body = ''
  let at = 0
  for (;;) {
    const head = /^(?<size>[0-9a-f]+)\r\n/i.exec(text.slice(at))
    if (!head) throw new Error(`This is no chunk: ${JSON.stringify(text.slice(at, at + 80))}`)
    const size = Number.parseInt(head.groups?.['size'] ?? '', 16)
    at += head[0].length
    body += text.slice(at, at + size)
    at += size + 2
    if (size === 0) return { body, length: at }
  }
}
