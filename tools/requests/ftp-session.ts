import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Proftpd } from '../servers/proftpd.ts'

/** How a transfer ends before its file does. */
export type Cut = 'fin' | 'rst'

/** A session that sends exactly what a test says. */
export interface FtpSession {
  /** @returns the answer, such as "230 User logged in". */
  send(command: string): Promise<string>
  /** Stores a file. With `cut` these bytes are a part of it, and the connections end as that says. @returns the last answer. */
  store(name: string, bytes: Buffer, cut?: Cut): Promise<string>
  close(): void
}

export interface FtpSessionOptions {
  /** FTPS: AUTH TLS, with protected data connections. */
  readonly tls?: boolean
}

/** Logs in. @throws Error if the server refuses it, or is not there. */
export async function openFtpSession(
  { ftpPort, user, password, certificate }: Proftpd,
  { tls = false }: FtpSessionOptions = {},
): Promise<FtpSession> {
  const ca = tls ? await readFile(certificate) : undefined
  const plain = withoutErrors(connect(ftpPort, '127.0.0.1'))
  const secured = (socket: Socket): Socket => (ca === undefined ? socket : withoutErrors(connectTls({ socket, ca })))
  if (tls) await requestTls(plain)
  const control = secured(plain)
  const answers = answersOf(control)
  const answer = async () => (await answers.next()).value ?? 'closed'
  const send = async (command: string) => {
    control.write(`${command}\r\n`)
    return await answer()
  }
  if (!tls) await answer()
  await send(`USER ${user}`)
  const welcome = await send(`PASS ${password}`)
  if (!welcome.startsWith('230')) throw new Error(welcome)
  if (tls) for (const command of ['PBSZ 0', 'PROT P']) await send(command)
  return {
    send,
    async store(name, bytes, cut) {
      const [, high, low] = /(\d+),(\d+)\)/.exec(await send('PASV')) ?? []
      if (high === undefined) return 'closed'
      const plainData = withoutErrors(connect(Number(high) * 256 + Number(low), '127.0.0.1'))
      const begun = await send(`STOR ${name}`)
      if (!begun.startsWith('150')) {
        plainData.destroy()
        return begun
      }
      const data = secured(plainData)
      if (cut === 'rst') {
        data.write(bytes)
        if (data.writableNeedDrain) await Promise.race([once(data, 'drain'), once(plainData, 'close')])
        plainData.resetAndDestroy()
        plain.resetAndDestroy()
        return 'reset'
      }
      const closed = once(plainData, 'close')
      // Without the end of TLS, as from a client that was killed.
      if (cut === 'fin') data.write(bytes, () => plainData.end())
      else data.end(bytes)
      await closed
      return await answer()
    },
    close: () => plain.destroy(),
  }
}

/** What goes wrong with a connection is told by the missing answer. */
function withoutErrors(socket: Socket): Socket {
  return socket.on('error', () => {})
}

/** Asks for TLS on the control connection. */
async function requestTls(control: Socket): Promise<void> {
  const closed = (async (): Promise<never> => {
    await once(control, 'close')
    throw new Error('closed')
  })()
  const next = async (): Promise<unknown> => (await Promise.race([once(control, 'data'), closed]))[0]
  await next()
  control.write('AUTH TLS\r\n')
  const answer = String(await next())
  if (!answer.startsWith('234')) throw new Error(answer)
}

async function* answersOf(control: Socket): AsyncGenerator<string, undefined> {
  let text = ''
  const chunks: AsyncIterable<Buffer> = control
  try {
    for await (const chunk of chunks) {
      text += chunk.toString()
      for (let match = LAST_LINE.exec(text); match; match = LAST_LINE.exec(text)) {
        yield match[0].trim()
        text = text.slice(match.index + match[0].length)
      }
    }
  } catch (error) {
    if (!control.destroyed) throw error
  }
  return undefined
}

/** Lines before the last one of an answer have a dash after the code, or no code. */
const LAST_LINE = /^\d{3} .*\r\n/m
