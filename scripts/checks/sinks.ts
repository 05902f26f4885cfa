import type { SinkSettings } from '../../src/config/sinks-file.ts'
import { openSinks } from '../../src/node/relay.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result } from './finding.ts'

const TIMEOUT_MS = 15_000

/** Each sink of SINKS_FILE has an address that is found and allowed, and a broker accepts the login. */
export const sinksCheck: Check = {
  name: 'sinks',
  async run({ config, sinks }) {
    const opened = openSinks(config)
    try {
      return await Promise.all(sinks.map((sink) => sinkResult(sink, opened)))
    } finally {
      await opened.close()
    }
  },
}

async function sinkResult(sink: SinkSettings, { probe }: ReturnType<typeof openSinks>): Promise<Result> {
  const { name, kind } = sink
  try {
    await probe(sink, AbortSignal.timeout(TIMEOUT_MS))
    return ok(kind === 'amqp' ? `The broker of sink "${name}" answers.` : `The address of sink "${name}" is allowed.`)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const rest = kind === 'amqp' ? ', user, password, exchange and routingKey' : ''
    return failure(
      `Sink "${name}" fails: ${reason}.`,
      `Check url${rest} of sinks.${name} in SINKS_FILE, and SINK_ALLOW_ADDRESSES for a private address.`,
    )
  }
}
