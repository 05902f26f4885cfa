import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { AUTHORIZATION } from '../requests/token.ts'

/** Requests of a front's clients come from so many addresses, as a CDN in front of it passes them on. */
const ADDRESSES = 200

/** A request and what came of it. Times are of `performance.now()`. */
export interface Exchange {
  /** In the logs of the front and of the nodes. */
  readonly requestId: string
  readonly path: string
  readonly kind: RequestKind
  readonly begun: number
  /** To the last byte. */
  readonly ended: number
  /** 0: the connection failed, or the response was cut. */
  readonly status: number
  readonly body: Buffer
}

/** As the sender expects it. */
export type RequestKind = 'hit' | 'cold' | 'upload' | 'probe'

export interface Viewers {
  /** @param front Origin of the front. */
  view(front: string, path: string, kind: RequestKind): Promise<Exchange>
  upload(front: string, path: string, bytes: Buffer): Promise<Exchange>
  close(): void
}

/** Clients that keep their connections and wait as long as it takes. A failure is an exchange, not an exception. */
export function createViewers(): Viewers {
  const agent = new Agent({ keepAlive: true })
  let number = 0

  function send(front: string, path: string, kind: RequestKind, bytes?: Buffer): Promise<Exchange> {
    number += 1
    const requestId = randomBytes(16).toString('hex')
    const headers = {
      'X-Request-Id': requestId,
      Accept: 'image/avif,image/webp,*/*',
      'X-Forwarded-For': `198.51.100.${1 + (number % ADDRESSES)}`,
      ...(bytes && { ...AUTHORIZATION, 'Content-Type': 'application/octet-stream', 'Content-Length': bytes.length }),
    }
    const begun = performance.now()
    return new Promise((resolve) => {
      const end = (status: number, body: Buffer = Buffer.alloc(0)): void =>
        resolve({ requestId, path, kind, begun, ended: performance.now(), status, body })
      const outgoing = request(front + path, { agent, method: bytes ? 'POST' : 'GET', headers }, (response) => {
        buffer(response).then(
          (body) => end(response.statusCode ?? 0, body),
          () => end(0),
        )
      })
      outgoing.on('error', () => end(0))
      outgoing.end(bytes)
    })
  }

  return {
    view: (front, path, kind) => send(front, path, kind),
    upload: (front, path, bytes) => send(front, path, 'upload', bytes),
    close: () => agent.destroy(),
  }
}
