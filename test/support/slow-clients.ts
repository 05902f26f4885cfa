import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Scope } from './scope.ts'

/** Asks, and is gone after that many milliseconds unless it has the answer by then. */
export async function askAndLeave(url: string, afterMs: number): Promise<void> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), afterMs)
  try {
    const response = await fetch(url, { signal: controller.signal })
    await response.arrayBuffer()
  } catch (error) {
    if (!controller.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
  }
}

/** How a connection ended: after how long, and with what. */
export interface End {
  readonly ms: number
  readonly said: string
}

/** Sends the beginning, then a byte a second, until the other side has enough of it. Without a beginning it says nothing. */
export async function trickle(scope: Scope, port: number, beginning: string): Promise<End> {
  const began = performance.now()
  const socket: Socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  scope.after(() => socket.destroy())
  // Reset instead of ended: what had come is of no interest then.
  const said = text(socket).catch(() => '')
  socket.write(beginning)
  const timer = setInterval(() => beginning !== '' && socket.writable && socket.write('a'), 1000)
  const closed = Promise.withResolvers<void>()
  socket.once('close', () => closed.resolve())
  await said
  clearInterval(timer)
  socket.destroy()
  await closed.promise
  return { ms: performance.now() - began, said: await said }
}

/** Of those ends the last, in whole milliseconds. */
export function slowest(ends: readonly End[]): number {
  return Math.round(Math.max(...ends.map(({ ms }) => ms)))
}
