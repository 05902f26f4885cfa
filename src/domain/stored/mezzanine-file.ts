import { createHash } from 'node:crypto'
import type { OriginalFacts } from '../picture/original-facts.ts'
import { isInputFormat } from '../spec/image-format.ts'
import { parseJson } from '../text/json-text.ts'

/**
 * A stored mezzanine: a picture for any decoder, followed by a trailer that decoders ignore:
 *
 * ```
 * file    = picture trailer
 * trailer = json sha256 length magic     ; 32 bytes: SHA-256 of all before; 4: length of the JSON, big-endian; 4: magic
 * json    = facts of the original, so that whoever has a mezzanine needs nothing else to plan a rendition
 * ```
 */
const MAGIC = 'dkr1'
const HASH_BYTES = 32
const FOOT_BYTES = HASH_BYTES + 4 + MAGIC.length
const MAX_JSON_BYTES = 2048

/** Puts a picture and the facts of its original into one file. */
export function sealMezzanine(picture: Buffer, original: OriginalFacts): Buffer {
  const json = Buffer.from(JSON.stringify(original))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  const hash = createHash('sha256').update(picture).update(json).digest()
  return Buffer.concat([picture, json, hash, length, Buffer.from(MAGIC)])
}

/**
 * The facts of the original, if the whole file is intact.
 * @returns undefined if the file is damaged or of another format.
 */
export function openMezzanine(file: Buffer): OriginalFacts | undefined {
  const hashed = file.subarray(0, Math.max(0, file.length - FOOT_BYTES))
  const hash = file.subarray(hashed.length, hashed.length + HASH_BYTES)
  if (!createHash('sha256').update(hashed).digest().equals(hash)) return undefined
  const foot = file.subarray(-FOOT_BYTES)
  if (foot.toString('latin1', FOOT_BYTES - MAGIC.length) !== MAGIC) return undefined
  const length = foot.readUInt32BE(HASH_BYTES)
  if (length > MAX_JSON_BYTES || length > hashed.length) return undefined
  return parseFacts(hashed.toString('utf8', hashed.length - length))
}

function parseFacts(json: string): OriginalFacts | undefined {
  const value = parseJson(json)
  return isFacts(value) ? value : undefined
}

function isFacts(value: unknown): value is OriginalFacts {
  if (typeof value !== 'object' || value === null) return false
  if (!('format' in value && 'stored' in value && 'orientation' in value && 'alpha' in value && 'frames' in value)) {
    return false
  }
  const { format, stored, orientation, alpha, frames } = value
  const isFormat = typeof format === 'string' && isInputFormat(format)
  if (!isFormat || !isWhole(orientation) || !isWhole(frames) || typeof alpha !== 'boolean') return false
  return typeof stored === 'object' && stored !== null && 'width' in stored && 'height' in stored
    ? isWhole(stored.width) && isWhole(stored.height)
    : false
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}
