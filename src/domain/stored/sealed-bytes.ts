import { createHash } from 'node:crypto'

const HASH_BYTES = 32

/** Bytes, and after them their SHA-256: whoever reads them back knows whether they are what was written. */
export function seal(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, hashOf(bytes)])
}

/** The inverse of `seal`. @returns undefined for what is damaged, cut or something else. */
export function openSealed(sealed: Buffer): Buffer | undefined {
  const bytes = sealed.subarray(0, Math.max(0, sealed.length - HASH_BYTES))
  return hashOf(bytes).equals(sealed.subarray(bytes.length)) ? bytes : undefined
}

function hashOf(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}
