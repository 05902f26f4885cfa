import { connect, type Socket } from 'node:net'
import type { Answer } from './ask.ts'

/** A connection that is kept from one request to the next, and opened again when the other end has closed it. */
export interface KeptConnection {
  /**
   * `GET` of a target that goes out byte for byte, in UTF-8. Anything but line ends may stand in it.
   * @throws Error when the connection breaks without an answer, or none comes in time.
   */
  get(target: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  close(): void
}

type Parsed = Omit<Answer, 'ms'>

const HUNG_MS = 60_000

export function createKeptConnection(port: number): KeptConnection {
  let socket: Socket | undefined

  function open(): Socket {
    const opened = connect(port, '127.0.0.1')
    // Whoever waits for an answer hears of it by the end of the connection.
    opened.on('error', () => {})
    opened.once('close', () => forget(opened))
    opened.setTimeout(HUNG_MS, () => opened.destroy())
    return opened
  }

  function forget(closed: Socket): void {
    if (socket === closed) socket = undefined
  }

  return {
    async get(target, headers = {}) {
      const began = performance.now()
      const used = socket ?? open()
      socket = used
      const lines = Object.entries({ Host: `127.0.0.1:${port}`, ...headers }).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      )
      const answered = readAnswer(used)
      used.write(`GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
      const answer = await answered
      if (answer.headers.get('connection') === 'close') {
        forget(used)
        used.destroy()
      }
      return { ...answer, ms: performance.now() - began }
    },
    close: () => socket?.destroy(),
  }
}

/** Reads one answer to its end. */
function readAnswer(socket: Socket): Promise<Parsed> {
  const { promise, resolve, reject } = Promise.withResolvers<Parsed>()
  let bytes = Buffer.alloc(0)
  const onData = (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    const answer = parseAnswer(bytes)
    if (answer) end(() => resolve(answer))
  }
  const onClose = () =>
    end(() => reject(new Error(`The connection was closed after ${JSON.stringify(bytes.toString('latin1', 0, 200))}`)))
  const end = (settle: () => void) => {
    socket.off('data', onData)
    socket.off('close', onClose)
    settle()
  }
  socket.on('data', onData)
  socket.once('close', onClose)
  return promise
}

/** @returns undefined as long as it is not all there. */
function parseAnswer(bytes: Buffer): Parsed | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
  )
  const status = Number(first.split(' ')[1])
  const rest = bytes.subarray(end + 4)
  const body = headers.get('transfer-encoding') === 'chunked' ? chunkedBody(rest) : plainBody(rest, headers)
  return body === undefined ? undefined : { status, headers, body }
}

function plainBody(rest: Buffer, headers: Headers): Buffer | undefined {
  const length = Number(headers.get('content-length') ?? 0)
  return rest.length < length ? undefined : rest.subarray(0, length)
}

function chunkedBody(rest: Buffer): Buffer | undefined {
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const end = rest.indexOf('\r\n', at)
    const length = end < 0 ? Number.NaN : Number.parseInt(rest.toString('latin1', at, end), 16)
    if (Number.isNaN(length) || rest.length < end + 2 + length + 2) return undefined
    if (length === 0) return Buffer.concat(chunks)
    chunks.push(rest.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}
