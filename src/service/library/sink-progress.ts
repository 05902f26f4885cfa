import type { SinkMessage } from '../../domain/info/sink-message.ts'
import {
  deadKey,
  formatSinkState,
  NEW_SINK,
  parseSinkState,
  replayKey,
  type SinkState,
  sinkKey,
} from '../../domain/stored/relay-state.ts'
import type { Sink } from '../ports/sink.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/** The progress of sinks in the store, so that any node continues it. */
export interface SinkProgress {
  /**
   * A requested replay replaces the state.
   * @param maxAgeMs A state that this process has loaded or saved within this time is used again, without a call of the store.
   */
  load(sink: Sink, maxAgeMs: number, signal: AbortSignal): Promise<SinkState>
  save(sink: Sink, state: SinkState, signal: AbortSignal): Promise<void>
  /** Keeps a message that is given up. @returns Its key. */
  bury(sink: Sink, message: SinkMessage, signal: AbortSignal): Promise<string>
}

const JSON_TYPE = { contentType: 'application/json', overwrite: true } as const

/** @param now Milliseconds since 1970. */
export function createSinkProgress(store: ObjectStore, now: () => number): SinkProgress {
  const latest = new Map<string, { readonly state: SinkState; readonly at: number }>()

  async function save(sink: Sink, given: SinkState, signal: AbortSignal): Promise<void> {
    const at = now()
    const state = { ...given, savedAt: at }
    latest.delete(sink.name)
    await putBytes(store, { key: sinkKey(sink.name), bytes: Buffer.from(formatSinkState(state)), ...JSON_TYPE }, signal)
    latest.set(sink.name, { state, at })
  }

  async function read(sink: Sink, signal: AbortSignal): Promise<SinkState> {
    const replay = await readText(store, replayKey(sink.name), signal)
    if (replay === undefined) {
      const text = await readText(store, sinkKey(sink.name), signal)
      return text === undefined ? NEW_SINK : parseSinkState(text)
    }
    const state = parseSinkState(replay)
    await save(sink, state, signal)
    await store.remove(replayKey(sink.name), signal)
    return state
  }

  return {
    async load(sink, maxAgeMs, signal) {
      const at = now()
      const known = latest.get(sink.name)
      // The clock may be set back.
      if (known !== undefined && at >= known.at && at - known.at < maxAgeMs) return known.state
      const state = await read(sink, signal)
      latest.set(sink.name, { state, at })
      return state
    },
    save,
    async bury(sink, { id, body }, signal) {
      const key = deadKey(sink.name, now(), id)
      await putBytes(store, { key, bytes: Buffer.from(body), ...JSON_TYPE }, signal)
      return key
    },
  }
}
