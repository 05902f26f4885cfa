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

/** What came back. */
export interface Answer extends Picture {
  /** 0: the connection failed. */
  readonly status: number
}

/** Asks for all of them, `clients` at a time, each client on a connection that it keeps. @throws unless all are 200. */
export async function askAll(urls: readonly string[], clients: number, accept?: string): Promise<Picture[]> {
  return await withAgent(clients, (agent) =>
    pLimit(clients).map(urls, async (url) => {
      const answer = await ask(url, agent, accept)
      assert.equal(answer.status, 200, `${url} answered ${answer.status}: ${answer.bytes.subarray(0, 200).toString()}`)
      return answer
    }),
  )
}

/** The same, whatever the answers are. */
export async function askEach(urls: readonly string[], clients: number): Promise<Answer[]> {
  return await withAgent(clients, (agent) =>
    pLimit(clients).map(urls, async (url) => {
      const began = performance.now()
      return await ask(url, agent).catch(() => ({
        bytes: Buffer.alloc(0),
        type: '',
        status: 0,
        ms: performance.now() - began,
      }))
    }),
  )
}

async function withAgent<T>(clients: number, work: (agent: Agent) => Promise<T>): Promise<T> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  try {
    return await work(agent)
  } finally {
    agent.destroy()
  }
}

function ask(url: string, agent: Agent, accept = '*/*'): Promise<Answer> {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { Accept: accept } }, (response) => {
      const { statusCode = 0, headers } = response
      buffer(response)
        .then((bytes) => {
          const type = headers['content-type'] ?? ''
          resolve({ bytes, type, status: statusCode, ms: performance.now() - began })
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
