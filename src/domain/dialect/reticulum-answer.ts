import { RequestError } from '../../errors.ts'
import { admittingQuery, type SizePolicy } from '../access/size-policy.ts'
import type { ImageRecord } from '../info/image-record.ts'
import { negotiateFormat } from '../picture/negotiate-format.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import { parseSpec, type Spec, type SpecSize } from '../spec/spec.ts'
import { formatImagePath } from '../url/picture-url.ts'

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

/** More digits are no length of a picture: as many as our own grammar takes. */
const MAX_LENGTH = 999_999

/**
 * The size that Reticulum would read out of a text, whatever stands around it. It looks for the first `<n>s`, `<n>w` and
 * `<n>h` anywhere, in lower case; a square wins over the others, whose order does not matter.
 *
 * @returns undefined if there is no such size, if a length is zero or absurd, and for what no client of Reticulum's writes:
 *   commas, which separate our options, slashes and control characters.
 * @see https://github.com/thraxil/resize (`MakeSizeSpec`)
 * @example parseReticulumSize('thumb-200h300w') // the spec of '300w200h'
 */
export function parseReticulumSize(text: string): Spec | undefined {
  if (/[,/\p{Cc}]/u.test(text)) return undefined
  const [side, width, height] = [lengthBefore('s', text), lengthBefore('w', text), lengthBefore('h', text)]
  const lengths = side === undefined ? [width, height] : [side]
  if (lengths.some((length) => length === 0 || (length ?? 0) > MAX_LENGTH)) return undefined
  const size = side === undefined ? boxOf(width, height) : ({ kind: 'square', side } as const)
  return size && { size }
}

/**
 * A spec of ours in any spelling, or else a size as Reticulum reads it: for sites with old links that have text around the
 * size (RETICULUM_SIZES). Without it such a text is refused, as it may be a mistake of somebody who wants another picture.
 * @throws RequestError `invalid_path` for what is neither, with the reason of our own grammar.
 */
export function parseSpecOrReticulumSize(text: string): Spec {
  try {
    return parseSpec(text)
  } catch (error) {
    const spec = error instanceof RequestError ? parseReticulumSize(text) : undefined
    if (spec === undefined) throw error
    return spec
  }
}

function lengthBefore(unit: 's' | 'w' | 'h', text: string): number | undefined {
  const digits = new RegExp(`(\\d+)${unit}`).exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function boxOf(width: number | undefined, height: number | undefined): SpecSize | undefined {
  if (width === undefined && height === undefined) return undefined
  return { kind: 'box', ...(width !== undefined && { width }), ...(height !== undefined && { height }) }
}
