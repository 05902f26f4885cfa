import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { pipeline } from 'node:stream/promises'
import type { UploadAnswer } from '../../domain/intake/upload-outcome.ts'
import { parseJson } from '../../domain/text/json-text.ts'
import type { FileUpload, RejectedUpload, UploadClient } from '../../service/ports/intake.ts'

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

/** Uploads to `POST /images`, and reports to `POST /events`, over connections that are kept. */
export function createUploadClient({ url, token, concurrency }: UploadClientOptions): UploadClient & { close(): void } {
  const settings = { keepAlive: true, maxSockets: concurrency, timeout: IDLE_MS }
  const isTls = url.startsWith('https:')
  const agent = isTls ? new HttpsAgent(settings) : new HttpAgent(settings)
  const start = isTls ? requestHttps : requestHttp

  function post(path: string, type: string, sizeBytes: number, signal: AbortSignal): ClientRequest {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': type, 'Content-Length': sizeBytes }
    const request = start(new URL(`${url}${path}`), { method: 'POST', agent, signal, headers })
    return request.setTimeout(STALLED_MS, () => request.destroy(new Error(`no answer within ${STALLED_MS / 1000} s`)))
  }

  return {
    async upload(file, signal) {
      const request = post(`/images?${queryOf(file)}`, 'application/octet-stream', file.sizeBytes, signal)
      const answered = answerOf(request)
      const sent = pipeline(file.body, request)
      // The node may refuse the file before it has all of it: then its answer counts, and not the failure to send the rest.
      sent.catch(() => {})
      const response = await answered
      return readAnswer(response, await textOf(response))
    },
    async reportRejected(file, signal) {
      const body = Buffer.from(JSON.stringify(reportOf(file)))
      const request = post('/events', 'application/json', body.length, signal)
      const answered = answerOf(request)
      request.end(body)
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

/** Within the limits of `POST /events`. */
const MOST_PATH_CHARACTERS = 1024
const MOST_SOURCE_CHARACTERS = 128
const MOST_MESSAGE_CHARACTERS = 1000

function reportOf({ path, source, labels, sizeBytes, code, message, arrivedMs }: RejectedUpload) {
  return {
    type: 'image.rejected',
    data: {
      // The end has the name of the file.
      path: path.slice(-MOST_PATH_CHARACTERS),
      source: source.slice(0, MOST_SOURCE_CHARACTERS),
      labels,
      bytes: sizeBytes,
      error: code,
      message: message.slice(0, MOST_MESSAGE_CHARACTERS),
      arrivedAt: new Date(arrivedMs).toISOString(),
    },
  }
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
