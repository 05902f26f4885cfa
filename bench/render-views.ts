import assert from 'node:assert/strict'
import { Agent, get } from 'node:http'
import { buffer } from 'node:stream/consumers'
import pLimit from 'p-limit'

export interface Picture {
  readonly bytes: Buffer
  readonly type: string
  /** From asking to the last byte. */
  readonly ms: number
}

/** Asks for all of them, `clients` at a time, each client on a connection that it keeps. @throws unless all are 200. */
export async function askAll(urls: readonly string[], clients: number, accept?: string): Promise<Picture[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  try {
    return await pLimit(clients).map(urls, (url) => ask(url, agent, accept))
  } finally {
    agent.destroy()
  }
}

function ask(url: string, agent: Agent, accept = '*/*'): Promise<Picture> {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { Accept: accept } }, (response) => {
      const { statusCode, headers } = response
      buffer(response)
        .then((bytes) => {
          assert.equal(statusCode, 200, `${url} answered ${statusCode}: ${bytes.subarray(0, 200).toString()}`)
          resolve({ bytes, type: headers['content-type'] ?? '', ms: performance.now() - began })
        })
        .catch(reject)
    }).on('error', reject)
  })
}

/** The smallest number that 99 of 100 do not exceed. */
export function percentile99(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN
}
