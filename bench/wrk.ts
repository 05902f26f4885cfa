import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { ensureCommand } from '../tools/servers/debian-packages.ts'

export interface Load {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const CONNECTIONS = 64

/**
 * Asks for one URL on 64 connections at once, as fast as it is answered.
 *
 * @throws Error if anything but 2xx came back, or a connection failed.
 */
export async function loadWithWrk(url: string, seconds: number): Promise<Load> {
  const command = await ensureCommand('wrk', { packages: ['wrk'], services: [] })
  const args = ['-t2', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', url]
  const wrk = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [output] = await Promise.all([text(wrk.stdout), once(wrk, 'close')])
  if (!/^Requests\/sec:/m.test(output) || /^\s*(?:Non-2xx|Socket errors)/m.test(output)) {
    throw new Error(`wrk ${args.join(' ')}:\n${output}`)
  }
  return {
    requestsPerSecond: Number(/^Requests\/sec:\s*([\d.]+)/m.exec(output)?.[1]),
    p50Ms: milliseconds(/^\s*50%\s+([\d.]+)(us|ms|s)/m.exec(output)),
    p99Ms: milliseconds(/^\s*99%\s+([\d.]+)(us|ms|s)/m.exec(output)),
  }
}

function milliseconds(match: RegExpExecArray | null): number {
  const factors: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 }
  return Number(match?.[1]) * (factors[match?.[2] ?? ''] ?? Number.NaN)
}
