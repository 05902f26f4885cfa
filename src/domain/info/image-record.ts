import { isImageId } from '../identity/image-id.ts'
import { type InputFormat, isInputFormat } from '../spec/image-format.ts'
import { parseJson } from '../text/json-text.ts'

/** What is known of an upload: stored as `records/…` and answered by `GET /images/{id}`. */
export interface ImageRecord {
  readonly id: string
  /** As displayed, after the EXIF orientation. Pixels. */
  readonly width: number
  readonly height: number
  readonly format: InputFormat
  /** Size of the original. */
  readonly bytes: number
  readonly alpha: boolean
  /** 1 for a still picture. */
  readonly frames: number
  /** ISO 8601, UTC. */
  readonly uploadedAt: string
}

export function formatRecord(record: ImageRecord): string {
  return JSON.stringify(record)
}

/** The inverse of `formatRecord`; unknown fields are left out. @returns undefined for anything that is no record. */
export function parseRecord(text: string): ImageRecord | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { id, width, height, format, bytes, alpha, frames, uploadedAt }: Record<string, unknown> = { ...value }
  if (typeof id !== 'string' || !isImageId(id)) return undefined
  if (typeof format !== 'string' || !isInputFormat(format)) return undefined
  if (!isCount(width) || !isCount(height) || !isCount(bytes) || !isCount(frames)) return undefined
  if (typeof alpha !== 'boolean' || typeof uploadedAt !== 'string') return undefined
  return { id, width, height, format, bytes, alpha, frames, uploadedAt }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}
