import { ConfigError } from '../src/config/env.ts'
import { loadSinks } from '../src/config/sinks-file.ts'
import { formatCursor } from '../src/domain/stored/event-cursor.ts'
import { formatSinkState, NEW_SINK, parseSinkState, replayKey, sinkKey } from '../src/domain/stored/relay-state.ts'
import { createStore } from '../src/node/outside.ts'
import { putBytes, readText } from '../src/service/tools/small-object.ts'
import { becomeOwner } from './become-owner.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { parseReplay, type ReplayOptions, USAGE } from './replay-options.ts'
import { EXIT, runCommand } from './run-command.ts'

const TIMEOUT_MS = 30_000

async function replay({ sink, since }: ReplayOptions): Promise<number> {
  const config = await loadNodeSettings()
  const names = (await loadSinks(config.SINKS_FILE, process.env)).map(({ name }) => name)
  if (!names.includes(sink)) {
    throw new ConfigError(`"${sink}" is not a sink of SINKS_FILE; its sinks: ${names.join(', ') || 'none'}`)
  }
  if (config.STORE.startsWith('file:')) becomeOwner(config.STORE.slice('file:'.length))
  const store = await createStore(config)
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const last = parseSinkState((await readText(store, sinkKey(sink), signal)) ?? '')
    const cursor = since === undefined ? last.cursor : formatCursor({ floor: since, positions: new Map() })
    const bytes = Buffer.from(formatSinkState({ ...NEW_SINK, cursor }))
    await putBytes(store, { key: replayKey(sink), bytes, contentType: 'application/json', overwrite: true }, signal)
  } finally {
    store.close()
  }
  process.stdout.write(`replay: the node that delivers to "${sink}" begins again within seconds\n`)
  return EXIT.done
}

/** See docs/events.md. */
await runCommand({ name: 'replay', usage: USAGE, parse: parseReplay, run: replay, explain: explainNodeFailure })
