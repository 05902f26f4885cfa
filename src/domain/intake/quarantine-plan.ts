/** A rejected file that is kept, with its reason beside it. */
export interface QuarantineEntry {
  readonly path: string
  /** Of the file and its reason. */
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly rejectedMs: number
}

export interface QuarantineLimits {
  readonly maxBytes: number
  readonly maxAgeMs: number
}

/** A file occupies whole blocks. */
const BLOCK_BYTES = 4096

/** Bytes on the disk of a file and its reason. */
export function quarantineBytes(fileBytes: number): number {
  return Math.ceil(fileBytes / BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES
}

/**
 * The entries to delete, so that `room` more bytes fit: those that are too old, and then the oldest.
 * @param entries The oldest first.
 */
export function planEviction<T extends QuarantineEntry>(
  entries: readonly T[],
  { maxBytes, maxAgeMs }: QuarantineLimits,
  { now, room }: { readonly now: number; readonly room: number },
): readonly T[] {
  let excess = entries.reduce((sum, { bytes }) => sum + bytes, room) - maxBytes
  const evicted: T[] = []
  for (const entry of entries) {
    if (excess <= 0 && now - entry.rejectedMs <= maxAgeMs) break
    evicted.push(entry)
    excess -= entry.bytes
  }
  return evicted
}
