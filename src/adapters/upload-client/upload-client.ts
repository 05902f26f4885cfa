import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { pipeline } from 'node:stream/promises'
import type { UploadAnswer } from '../../domain/intake/upload-outcome.ts'
import { parseJson } from '../../domain/text/json-text.ts'
import type { FileUpload, UploadClient } from '../../service/ports/intake.ts'

export interface UploadClientOptions {
  /** Of a node or of a front of several nodes, without a trailing slash. */
  readonly url: string
  /** An upload token of the node. */
  readonly token: string
  /** Connections at once. */
  readonly concurrency: number
}

/** Less than the time after which a node closes an idle connection. */
const IDLE_MS = 4000
/** Without a byte in either direction. More than the node takes for a large picture while its queue is full. */
const STALLED_MS = 120_000
const MOST_ANSWER_BYTES = 64 * 1024

/** Uploads to `POST /images` over connections that are kept. */
export function createUploadClient({ url, token, concurrency }: UploadClientOptions): UploadClient & { close(): void } {
  const settings = { keepAlive: true, maxSockets: concurrency, timeout: IDLE_MS }
  const isTls = url.startsWith('https:')
  const agent = isTls ? new HttpsAgent(settings) : new HttpAgent(settings)
  const start = isTls ? requestHttps : requestHttp

  return {
    async upload(file, signal) {
      const request = start(new URL(`${url}/images?${queryOf(file)}`), {
        method: 'POST',
        agent,
        signal,
        headers: {
          Authorization: `Bearer ${token}`,
          'Content-Type': 'application/octet-stream',
          'Content-Length': file.sizeBytes,
        },
      })
      request.setTimeout(STALLED_MS, () => request.destroy(new Error(`no answer within ${STALLED_MS / 1000} s`)))
      const answered = answerOf(request)
      const sent = pipeline(file.body, request)
      // The node may refuse the file before it has all of it: then its answer counts, and not the failure to send the rest.
      sent.catch(() => {})
      const response = await answered
      return readAnswer(response, await textOf(response))
    },
    close: () => agent.destroy(),
  }
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
}

/** The container must end, as no person watches these uploads. */
function queryOf({ name, source, labels }: FileUpload): string {
  const query = {
    complete: 'true',
    name,
    ...(source !== '' && { source }),
    ...(labels.length > 0 && { labels: labels.join(' ') }),
  }
  return new URLSearchParams(query).toString()
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  const received: AsyncIterable<Buffer> = response
  for await (const chunk of received) {
    bytes += chunk.length
    if (bytes <= MOST_ANSWER_BYTES) chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function readAnswer({ statusCode = 0, headers }: IncomingMessage, text: string): UploadAnswer {
  const value = parseJson(text)
  const { error, message, id }: Record<string, unknown> =
    typeof value === 'object' && value !== null ? { ...value } : {}
  const retryAfter = Number(headers['retry-after'])
  return {
    status: statusCode,
    ...(typeof error === 'string' && { error }),
    ...(typeof message === 'string' && { message }),
    ...(typeof id === 'string' && { id }),
    ...(retryAfter > 0 && { retryAfterSeconds: retryAfter }),
  }
}
