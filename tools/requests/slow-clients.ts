import { connect, type Socket } from 'node:net'
import type { Scope } from '../processes/scope.ts'
import { untilClosed } from './raw-exchange.ts'

/** Asks, and is gone after that many milliseconds unless it has the answer by then. */
export async function askAndLeave(
  url: string,
  afterMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), afterMs)
  try {
    const response = await fetch(url, { headers, signal: controller.signal })
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
  scope.after(() => socket.destroy())
  socket.write(beginning)
  const timer = setInterval(() => beginning !== '' && socket.writable && socket.write('a'), 1000)
  // A byte of ours on its way can make a reset of the end.
  const said = await untilClosed(socket)
  clearInterval(timer)
  return { ms: performance.now() - began, said: said.toString() }
}

/** Of those ends the last, in whole milliseconds. */
export function slowest(ends: readonly End[]): number {
  return Math.round(Math.max(...ends.map(({ ms }) => ms)))
}
