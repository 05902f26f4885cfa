import { RequestError } from '../../errors.ts'
import { formatSpec, parseSpec, type Spec } from '../spec/spec.ts'
import type { SizePolicy } from './size-policy.ts'

/** One upload may have so many sizes made ahead. */
export const MAX_PRIME_SIZES = 20

/**
 * The sizes that an upload asks to be made ahead: `?sizes=400w 800w`, separated by spaces or given several times.
 *
 * @throws RequestError `invalid_upload` if one is no canonical spec or there are too many; `size_not_allowed` if the policy
 *   would let nobody ask for it.
 */
export function parsePrimeSizes(query: URLSearchParams, policy: SizePolicy): readonly Spec[] {
  const texts = distinct(query.getAll('sizes').flatMap((value) => value.split(' ')))
  assertNotTooMany('sizes', texts)
  return texts.map((text) => parsePrimeSize(text, policy))
}

/**
 * The same for a form of Reticulum's: sizes in any valid spelling, separated by commas, where nothing between two is nothing.
 *
 * @param field What they are called in messages.
 * @param readSpec See `parseSpecOrReticulumSize` for one that takes more.
 * @throws RequestError `invalid_upload`, `size_not_allowed`
 */
export function parseSizeHints(
  field: string,
  text: string,
  policy: SizePolicy,
  readSpec: (text: string) => Spec = parseSpec,
): readonly Spec[] {
  const hints = distinct(text.split(',').map((hint) => hint.trim()))
  assertNotTooMany(field, hints)
  return hints.map((hint) => {
    const spec = parse(field, hint, readSpec)
    assertServed(field, formatSpec(spec), policy)
    return spec
  })
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].filter((text) => text !== '')
}

function assertNotTooMany(field: string, texts: readonly string[]): void {
  if (texts.length <= MAX_PRIME_SIZES) return
  throw new RequestError('invalid_upload', `${field}: ${texts.length} sizes given; the limit is ${MAX_PRIME_SIZES}`)
}

function assertServed(field: string, size: string, policy: SizePolicy): void {
  if (policy.kind !== 'list' || policy.sizes.includes(size)) return
  throw new RequestError('size_not_allowed', `${field}: "${size}" is not an allowed size (SIZES)`)
}

function parsePrimeSize(text: string, policy: SizePolicy): Spec {
  const spec = parse('sizes', text, parseSpec)
  const canonical = formatSpec(spec)
  if (canonical !== text)
    throw new RequestError('invalid_upload', `sizes: "${text}" should be written as "${canonical}"`)
  assertServed('sizes', text, policy)
  return spec
}

function parse(field: string, text: string, readSpec: (text: string) => Spec): Spec {
  try {
    return readSpec(text)
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    throw new RequestError('invalid_upload', `${field}: ${error.message}`, { cause: error })
  }
}
