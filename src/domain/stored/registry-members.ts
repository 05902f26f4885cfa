import { type NodeEntry, parseNodeEntry } from './node-entry.ts'

/** An entry of the registry, as one reader has seen it. */
interface SeenEntry {
  readonly text: string
  /** Undefined: it is not the entry of a node. */
  readonly entry: NodeEntry | undefined
  /** When the text was seen first, in milliseconds of a clock that is never set back. */
  readonly since: number
}

/** By key in the store. */
export type SeenEntries = ReadonlyMap<string, SeenEntry>

/** Entries are rewritten every three seconds. */
const RENEWED_MS = 10_000

/** @param texts By key in the store. */
export function seeEntries(seen: SeenEntries, texts: ReadonlyMap<string, string>, nowMs: number): SeenEntries {
  const entries = [...texts].map(([key, text]) => {
    const before = seen.get(key)
    return [key, before?.text === text ? before : { text, entry: parseNodeEntry(text), since: nowMs }] as const
  })
  return new Map(entries)
}

/**
 * The nodes that live, for all that is known: without those whose entry has not been renewed for `keepMs` while others have. If no
 * entry is renewed, the store accepts no writes, which says nothing about the nodes.
 */
export function livingNodes(seen: SeenEntries, nowMs: number, keepMs: number): readonly NodeEntry[] {
  const isRenewed = ({ since }: SeenEntry): boolean => nowMs - since < RENEWED_MS
  const areOthersRenewed = [...seen.values()].some(isRenewed)
  return [...seen.values()].flatMap(({ entry, since }) =>
    entry === undefined || (areOthersRenewed && nowMs - since >= keepMs) ? [] : [entry],
  )
}
