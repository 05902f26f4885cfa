import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { ensureCommand } from '../servers/debian-packages.ts'

export interface Load {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const CONNECTIONS = 64

/**
 * Asks for one URL on 64 connections at once, as fast as it is answered.
 *
 * @param paths With it, these are asked for in turn, at the origin of the URL.
 * @throws Error if anything but 2xx came back, or a connection failed.
 */
export async function loadWithWrk(url: string, seconds: number, paths: readonly string[] = []): Promise<Load> {
  if (paths.length === 0) return await runWrk([`-d${seconds}s`, url])
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-wrk-'))
  try {
    const script = join(folder, 'paths.lua')
    await writeFile(script, inTurn(paths))
    return await runWrk([`-d${seconds}s`, '-s', script, url])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A script of wrk. The requests are formatted before the first one. */
function inTurn(paths: readonly string[]): string {
  return `local requests = {}
local turn = 0
function init()
  for _, path in ipairs({ ${paths.map((path) => JSON.stringify(path)).join(', ')} }) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
`
}

async function runWrk(options: readonly string[]): Promise<Load> {
  const command = await ensureCommand('wrk', { packages: ['wrk'], services: [] })
  const args = ['-t2', `-c${CONNECTIONS}`, '--latency', ...options]
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
