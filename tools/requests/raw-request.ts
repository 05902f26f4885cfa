import { type IncomingHttpHeaders, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface RawRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
  /** The address that the request comes from; any in 127.0.0.0/8. */
  readonly from?: string
}

export interface RawResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Every header line as it came: a header that is there twice shows here only. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/**
 * One request on a connection of its own, whose path goes out byte for byte as it stands here. `fetch` and `URL` would
 * clean up the path, and `fetch` adds `Cache-Control` to conditional requests.
 *
 * @param origin `http://host:port`
 */
export async function rawRequest(origin: string, path: string, options: RawRequest = {}): Promise<RawResponse> {
  const { hostname, port } = new URL(origin)
  const { method = 'GET', headers = {}, body } = options
  const { promise, resolve, reject } = Promise.withResolvers<RawResponse>()
  const outgoing = request(
    { hostname, port, path, method, headers, agent: false, ...(options.from && { localAddress: options.from }) },
    (response) => {
      const { statusCode = 0, headers: answered, rawHeaders } = response
      buffer(response).then(
        (bytes) => resolve({ status: statusCode, headers: answered, rawHeaders, body: bytes }),
        reject,
      )
    },
  )
  outgoing.on('error', reject)
  outgoing.end(body)
  return promise
}

/** The fields of a JSON object. @throws SyntaxError or TypeError for anything else. */
export function jsonFields(text: Buffer | string | undefined): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(String(text))
  if (typeof value !== 'object' || value === null) throw new TypeError('Not a JSON object')
  return { ...value }
}
