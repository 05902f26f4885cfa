import { RequestError } from '../../errors.ts'
import { admittingQuery, type SizePolicy } from '../access/size-policy.ts'
import type { ImageRecord } from '../info/image-record.ts'
import { negotiateFormat } from '../picture/negotiate-format.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import { parseSpec, type Spec, type SpecSize } from '../spec/spec.ts'
import { formatImagePath } from '../url/picture-url.ts'

/** The response of Reticulum to an upload. */
export interface ReticulumAnswer {
  /** The image id. */
  readonly hash: string
  /** Size of the original, bytes. */
  readonly length: number
  /** Extension for the URLs of the image. */
  readonly extension: OutputFormat
  readonly full_url: string
  /** The image is in the store. */
  readonly satisfied: true
  /** Empty: all nodes are equal. */
  readonly nodes: readonly string[]
}

/** @param base Prefix of the URLs, without a trailing slash; empty: they begin with a slash. */
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

/** Maximum digits of a length, as in a spec. */
const MAX_LENGTH = 999_999

/**
 * The size that Reticulum finds in a text: the first `<n>s`, `<n>w` and `<n>h` anywhere, in lower case; a square has
 * precedence over the others, in any order.
 *
 * @returns undefined if there is no such size, if a length is zero or too large, and for commas, slashes and control
 *   characters, which no client of Reticulum sends.
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
 * A spec in any spelling, or a size in Reticulum's grammar: for sites with old links that have text around the size
 * (RETICULUM_SIZES). By default such a text is refused, as it may be a mistake.
 * @throws RequestError `invalid_path` if it is neither, with the reason for the spec.
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
