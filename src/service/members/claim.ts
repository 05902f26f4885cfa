import { formatNodeEntry, type NodeEntry, type ProcessOwner, parseNodeEntry } from '../../domain/stored/node-entry.ts'
import { nodeKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/**
 * - `held`: the entry in the store is that of this process.
 * - `waiting`: not known yet, whether another process that lives has the name.
 * - `taken`: another process has it.
 */
export type ClaimState = 'held' | 'waiting' | 'taken'

/** The name of a node in the store: at most one living process has it. */
export interface Claim {
  /** As of the last step. */
  readonly state: ClaimState
  /** The entry of the other process, as of the last step. */
  readonly other: NodeEntry | undefined
  /** Takes the name if it is free, and renews the entry if this process has the name. @throws UnavailableError */
  step(signal: AbortSignal): Promise<ClaimState>
  /** Removes the entry, if it is that of this process. @throws UnavailableError */
  release(signal: AbortSignal): Promise<void>
}

export interface ClaimOptions {
  readonly store: ObjectStore
  readonly name: string
  /** 8 hex digits that no other process has. */
  readonly process: string
  /** The entry as of now. */
  readonly entry: () => NodeEntry
  /** Whether a process lives; undefined if this machine cannot tell, as for one of another machine. */
  readonly isAlive: (owner: ProcessOwner) => Promise<boolean | undefined>
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
}

/** An entry that does not change for this time is that of a dead process: three renewals, by the clock of this node. */
export const UNCHANGED_MS = 10_000

/**
 * An entry is created by a create-only put, so that one of two nodes that start together has the name. The entry of a dead process
 * is overwritten, and read again by the next step: of two that overwrite it, the last has the name.
 */
export function createClaim({ store, name, process, entry, isAlive, now }: ClaimOptions): Claim {
  const key = nodeKey(name)
  let state: ClaimState = 'waiting'
  let other: NodeEntry | undefined
  let seen: { readonly text: string; readonly at: number; readonly hasChanged: boolean } | undefined

  async function write(overwrite: boolean, signal: AbortSignal): Promise<'created' | 'exists'> {
    const bytes = Buffer.from(formatNodeEntry(entry()))
    return await putBytes(store, { key, bytes, contentType: 'application/json', overwrite }, signal)
  }

  function hold(): ClaimState {
    other = undefined
    seen = undefined
    return 'held'
  }

  /** Another process wrote this. @returns undefined if it is dead. */
  async function judge(text: string): Promise<'waiting' | 'taken' | undefined> {
    if (seen?.text !== text) {
      // An entry that this process had, and that is another's now, was written by a living process.
      seen = { text, at: now(), hasChanged: seen !== undefined || state === 'held' }
    }
    const lives = other?.owner && (await isAlive(other.owner))
    if (lives === false) return undefined
    if (lives) return 'taken'
    if (now() - seen.at >= UNCHANGED_MS) return undefined
    return seen.hasChanged ? 'taken' : 'waiting'
  }

  async function look(signal: AbortSignal): Promise<ClaimState> {
    const text = await readText(store, key, signal)
    if (text === undefined) return (await write(false, signal)) === 'created' ? hold() : 'waiting'
    const found = parseNodeEntry(text)
    if (found?.process === process) {
      await write(true, signal)
      return hold()
    }
    other = found
    const verdict = await judge(text)
    if (verdict !== undefined) return verdict
    await write(true, signal)
    seen = undefined
    return 'waiting'
  }

  return {
    get state() {
      return state
    },
    get other() {
      return other
    },
    async step(signal) {
      state = await look(signal)
      return state
    },
    async release(signal) {
      const text = await readText(store, key, signal)
      if (text !== undefined && parseNodeEntry(text)?.process === process) await store.remove(key, signal)
    },
  }
}
