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
  /** A requested replay replaces the state. */
  load(sink: Sink, signal: AbortSignal): Promise<SinkState>
  save(sink: Sink, state: SinkState, signal: AbortSignal): Promise<void>
  /** Keeps a message that is given up. @returns Its key. */
  bury(sink: Sink, message: SinkMessage, signal: AbortSignal): Promise<string>
}

const JSON_TYPE = { contentType: 'application/json', overwrite: true } as const

/** @param now Milliseconds since 1970. */
export function createSinkProgress(store: ObjectStore, now: () => number): SinkProgress {
  async function save(sink: Sink, state: SinkState, signal: AbortSignal): Promise<void> {
    const bytes = Buffer.from(formatSinkState({ ...state, savedAt: now() }))
    await putBytes(store, { key: sinkKey(sink.name), bytes, ...JSON_TYPE }, signal)
  }

  return {
    async load(sink, signal) {
      const replay = await readText(store, replayKey(sink.name), signal)
      if (replay === undefined) {
        const text = await readText(store, sinkKey(sink.name), signal)
        return text === undefined ? NEW_SINK : parseSinkState(text)
      }
      const state = parseSinkState(replay)
      await save(sink, state, signal)
      await store.remove(replayKey(sink.name), signal)
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
