import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import type { Check } from './check.ts'
import { failure, ok, reasonOf, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 8000
const Ready = z.object({ reasons: z.array(z.string()) })
const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])

/** The report of the running node in /readyz, such as requests that bypass nginx. */
export const readinessCheck: Check = {
  name: 'readiness',
  async run({ config: { HOST, PORT } }) {
    const host = EVERY_ADDRESS.has(HOST) ? 'localhost' : HOST
    try {
      const { status, reasons } = await askReadiness(host, PORT)
      if (status === 200 && reasons.length === 0) return [ok('The running node is ready.')]
      const report = status === 200 ? warning : failure
      return reasons.map((reason) => report(`The running node reports: ${reason}.`, FIX))
    } catch (error) {
      return [skipped(`No node was found at HOST=${HOST}, PORT=${PORT}: ${reasonOf(error)}.`)]
    }
  },
}

const FIX =
  'Follow the message; "Degraded state" in docs/operating.md explains it, and the log of the node has the cause ("journalctl -u darkroom").'

async function askReadiness(host: string, port: number) {
  const asked = request({ host, port, path: '/readyz', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) })
  const answer = Promise.withResolvers<{ status: number; reasons: readonly string[] }>()
  asked.on('error', answer.reject)
  asked.on('response', (response) => {
    const status = response.statusCode ?? 0
    json(response).then((body) => answer.resolve({ status, ...Ready.parse(body) }), answer.reject)
  })
  asked.end()
  return await answer.promise
}
