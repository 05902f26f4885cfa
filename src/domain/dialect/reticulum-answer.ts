import { admittingQuery, type SizePolicy } from '../access/size-policy.ts'
import type { ImageRecord } from '../info/image-record.ts'
import { negotiateFormat } from '../picture/negotiate-format.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import { parseSpec } from '../spec/spec.ts'
import { formatImagePath } from '../url/image-path.ts'

/** What Reticulum answers an upload, by its names. */
export interface ReticulumAnswer {
  /** Our id. */
  readonly hash: string
  /** Of the original, in bytes. */
  readonly length: number
  /** That pages are to put into the URLs of the image. */
  readonly extension: OutputFormat
  readonly full_url: string
  /** The image is in the store, for good. */
  readonly satisfied: true
  /** Empty: no node holds more of the image than any other. */
  readonly nodes: readonly string[]
}

/** @param base What URLs begin with, without a slash at the end; empty: they begin with a slash. */
export function reticulumAnswer(record: ImageRecord, base: string, policy: SizePolicy): ReticulumAnswer {
  const { id, format: source, alpha, frames, width, height } = record
  const extension = negotiateFormat('source', { source, alpha, animated: frames > 1, pixels: width * height }, false)
  const request = {
    original: { kind: 'image' as const, id },
    spec: parseSpec('full'),
    name: 'image',
    format: extension,
  }
  const query = admittingQuery(request, policy)
  return {
    hash: id,
    length: record.bytes,
    extension,
    full_url: `${base}${formatImagePath(request)}${query === '' ? '' : `?${query}`}`,
    satisfied: true,
    nodes: [],
  }
}
