import { parseJson } from '../text/json-text.ts'

/** What a bucket told of an object, as a node keeps it for after its next start. */
export interface ObjectNotice {
  readonly etag: string
  readonly sizeBytes: number
  /** Ms since 1970. */
  readonly modifiedAt: number
  /** When the bucket told it, ms since 1970. */
  readonly checkedAt: number
  /** Lower-case hex. */
  readonly md5?: string
}

export function formatObjectNotice(notice: ObjectNotice): string {
  return JSON.stringify(notice)
}

/** The inverse of `formatObjectNotice`. @returns undefined for anything else. */
export function parseObjectNotice(text: string): ObjectNotice | undefined {
  const value = parseJson(text)
  return isNotice(value) ? value : undefined
}

function isNotice(value: unknown): value is ObjectNotice {
  if (typeof value !== 'object' || value === null) return false
  const field = (name: string): unknown => Reflect.get(value, name)
  const md5 = field('md5')
  const counts = [field('sizeBytes'), field('modifiedAt'), field('checkedAt')]
  return (
    typeof field('etag') === 'string' &&
    (md5 === undefined || typeof md5 === 'string') &&
    counts.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  )
}
