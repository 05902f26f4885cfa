import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly retryAfter: boolean
}

export interface Connections {
  /** Asks on an idle connection, or on a new one. @throws when the connection breaks. */
  get(path: string): Promise<RawAnswer>
  close(): void
}

interface Line {
  readonly socket: Socket
  pending: PromiseWithResolvers<RawAnswer> | undefined
  head: string
  answer: RawAnswer | undefined
  /** Of the body, still to come. */
  left: number
}

const HEAD_END = '\r\n\r\n'

/**
 * The least of an HTTP client, as it has to share the machine with what it measures: one GET at a time on each connection,
 * answers with a Content-Length, whose bodies are counted and dropped.
 */
export function createConnections(port: number, localAddress = '127.0.0.1'): Connections {
  const idle: Line[] = []
  const all = new Set<Line>()

  function open(): Line {
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
    const line: Line = { socket, pending: undefined, head: '', answer: undefined, left: 0 }
    all.add(line)
    socket.on('data', (chunk: Buffer) => onData(line, chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      all.delete(line)
      const at = idle.indexOf(line)
      if (at >= 0) idle.splice(at, 1)
      line.pending?.reject(new Error('The connection was closed before the answer had come'))
    })
    return line
  }

  function onData(line: Line, chunk: Buffer): void {
    if (line.answer === undefined) {
      const start = line.head.length
      line.head += chunk.toString('latin1')
      const end = line.head.indexOf(HEAD_END)
      if (end < 0) return
      const head = line.head.slice(0, end)
      line.answer = { status: Number(head.slice(9, 12)), retryAfter: /^retry-after: [1-9]\d*$/im.test(head) }
      const length = /^content-length: (\d+)$/im.exec(head)?.[1]
      if (length === undefined) {
        line.socket.destroy()
        return
      }
      line.left = Number(length) - (chunk.length - (end + HEAD_END.length - start))
    } else line.left -= chunk.length
    if (line.left > 0) return
    const { answer, pending } = line
    line.answer = undefined
    line.pending = undefined
    line.head = ''
    idle.push(line)
    pending?.resolve(answer)
  }

  return {
    get(path) {
      const line = idle.pop() ?? open()
      line.pending = Promise.withResolvers()
      line.socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
      return line.pending.promise
    },
    close() {
      for (const { socket } of all) socket.destroy()
    },
  }
}
