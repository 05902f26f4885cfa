import { request } from 'node:http'

/** No peer needs longer; one that is away must not keep the others waiting. */
const TIMEOUT_MS = 500

/**
 * Sends `POST /peers/hint` to the nginx of a node, on a connection of its own: one that nginx has just closed would lose the hint.
 *
 * @param address `host:port`.
 * @throws Error if the peer is unreachable, is late or refuses.
 */
export async function sendHint(address: string, signal: AbortSignal): Promise<void> {
  const { hostname, port } = new URL(`http://${address}`)
  const sent = request({
    host: hostname.replaceAll(/^\[|\]$/g, ''),
    port: port || 80,
    method: 'POST',
    path: '/peers/hint',
    headers: { 'Content-Length': 0 },
    agent: false,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  })
  const answered = new Promise<number | undefined>((resolve, reject) => {
    sent.once('response', (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.once('error', reject)
  })
  sent.end()
  const status = await answered
  if (status !== 204) throw new Error(`The peer answered ${status}`)
}
