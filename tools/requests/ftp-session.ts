import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Proftpd } from '../servers/proftpd.ts'

/** How a transfer ends before its file does. */
export type Cut = 'fin' | 'rst'

/** A session that sends exactly what a test says, over plain FTP. */
export interface FtpSession {
  /** @returns the answer, such as "230 User logged in". */
  send(command: string): Promise<string>
  /** Stores a file. With `cut` these bytes are a part of it, and the connections end as that says. @returns the last answer. */
  store(name: string, bytes: Buffer, cut?: Cut): Promise<string>
  close(): void
}

/** Logs in. */
export async function openFtpSession({ ftpPort, user, password }: Proftpd): Promise<FtpSession> {
  const control = connect(ftpPort, '127.0.0.1')
  const answers = answersOf(control)
  const answer = async () => (await answers.next()).value ?? 'closed'
  const send = async (command: string) => {
    control.write(`${command}\r\n`)
    return await answer()
  }
  await answer()
  await send(`USER ${user}`)
  const welcome = await send(`PASS ${password}`)
  if (!welcome.startsWith('230')) throw new Error(welcome)
  return {
    send,
    async store(name, bytes, cut) {
      const [, high, low] = /(\d+),(\d+)\)/.exec(await send('PASV')) ?? []
      const data = connect(Number(high) * 256 + Number(low), '127.0.0.1')
      // A connection that the server resets is told by its answer.
      data.on('error', () => {})
      const begun = await send(`STOR ${name}`)
      if (!begun.startsWith('150')) {
        data.destroy()
        return begun
      }
      if (cut === 'rst') {
        data.write(bytes)
        if (data.writableNeedDrain) await once(data, 'drain')
        data.resetAndDestroy()
        control.resetAndDestroy()
        return 'reset'
      }
      data.end(bytes)
      await once(data, 'close').catch(() => {})
      return await answer()
    },
    close: () => control.destroy(),
  }
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
