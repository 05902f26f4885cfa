import { RequestError } from '../errors.ts'
import type { SizePolicy } from './size-policy.ts'
import { formatSpec, parseSpec, type Spec } from './spec.ts'

/** One upload may have so many sizes made ahead. */
export const MAX_PRIME_SIZES = 20

/**
 * The sizes that an upload asks to be made ahead: `?sizes=400w 800w`, separated by spaces or given several times.
 *
 * @throws RequestError `invalid_upload` if one is no canonical spec or there are too many; `size_not_allowed` if the policy
 *   would let nobody ask for it.
 */
export function parsePrimeSizes(query: URLSearchParams, policy: SizePolicy): readonly Spec[] {
  const texts = new Set(query.getAll('sizes').flatMap((value) => value.split(' ').filter((text) => text !== '')))
  if (texts.size > MAX_PRIME_SIZES) {
    throw new RequestError('invalid_upload', `sizes: at most ${MAX_PRIME_SIZES} can be made ahead, not ${texts.size}`)
  }
  return [...texts].map((text) => parsePrimeSize(text, policy))
}

function parsePrimeSize(text: string, policy: SizePolicy): Spec {
  const spec = parse(text)
  const canonical = formatSpec(spec)
  if (canonical !== text) throw new RequestError('invalid_upload', `sizes: "${text}" should be written "${canonical}"`)
  if (policy.kind === 'list' && !policy.sizes.includes(text)) {
    throw new RequestError('size_not_allowed', `sizes: "${text}" is not among the sizes that are served here`)
  }
  return spec
}

function parse(text: string): Spec {
  try {
    return parseSpec(text)
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    throw new RequestError('invalid_upload', `sizes: "${text}": ${error.message}`, { cause: error })
  }
}
