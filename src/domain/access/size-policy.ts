import { RequestError } from '../../errors.ts'
import { formatSpec, parseSpec, type Spec } from '../spec/spec.ts'
import { nearestWord } from '../text/edit-distance.ts'
import { type ImageRequest, signedPath } from '../url/picture-url.ts'
import {
  assertSignature,
  formatSignature,
  parseSignature,
  type SignText,
  signPath,
  transferSignature,
} from './signature.ts'
import { assertCombination, isAllowedCombination, type SizeSteps, stepSpec } from './size-steps.ts'

/** Which sizes clients may request. */
export type SizePolicy =
  | { readonly kind: 'open' }
  | { readonly kind: 'list'; readonly sizes: readonly string[]; readonly fallback: 'refuse' | 'redirect' }
  | { readonly kind: 'steps'; readonly steps: SizeSteps; readonly answer: 'picture' | 'redirect' }
  | { readonly kind: 'signed'; readonly keys: readonly string[]; readonly sign?: SignText }

/** The result for an allowed request, with the seconds until its signature expires, if it does. */
export interface Admission {
  readonly expiresInSeconds?: number
  /** The spec to redirect to. */
  readonly redirect?: Spec
  /** The spec to answer with, if it is not the requested one. */
  readonly step?: Spec
}

/**
 * Checks the size of a request against the policy.
 *
 * @param nowSeconds Seconds since 1970.
 * @throws RequestError `size_not_allowed`, `signature_invalid`, `signature_expired`
 */
export function admit(
  request: ImageRequest,
  query: URLSearchParams,
  policy: SizePolicy,
  nowSeconds: number,
): Admission {
  if (policy.kind === 'list') return admitListed(request.spec, policy)
  if (policy.kind === 'steps') return admitStep(request.spec, policy)
  if (policy.kind === 'open') return {}
  const signature = parseSignature(query)
  assertSignature(signedPath(request), signature, policy, nowSeconds)
  return signature.expires === undefined ? {} : { expiresInSeconds: signature.expires - nowSeconds }
}

/**
 * The same for a URL in the grammar of another service, which is never redirected.
 * @param isSigned By the signature of that service.
 * @returns the spec to answer with.
 */
export function admitOtherwise(spec: Spec, policy: SizePolicy, isSigned: boolean): Spec {
  if (policy.kind === 'steps') return stepSpec(spec, policy.steps)
  if (policy.kind === 'list') admitListed(spec, { ...policy, fallback: 'refuse' })
  if (policy.kind === 'signed' && !isSigned) {
    throw new RequestError(
      'signature_invalid',
      'This service accepts only signed URLs, and this URL has no signature (SIZE_POLICY)',
    )
  }
  return spec
}

/** The query that a URL needs under the policy, without the question mark; empty if none. */
export function admittingQuery(request: ImageRequest, policy: SizePolicy): string {
  const key = policy.kind === 'signed' ? policy.keys[0] : undefined
  return key === undefined ? '' : formatSignature(signPath(signedPath(request), key))
}

/**
 * The query of a signed request, signed for another path of the same picture, with the same key and expiry.
 * @throws RequestError `signature_invalid`
 */
export function readmittingQuery(
  given: ImageRequest,
  wanted: ImageRequest,
  query: URLSearchParams,
  keys: readonly string[],
): string {
  const paths = { from: signedPath(given), to: signedPath(wanted) }
  const { signature } = transferSignature(paths, parseSignature(query), keys)
  const carried = new URLSearchParams(query)
  carried.set('s', signature)
  return carried.toString()
}

/**
 * Widths for a `srcset`: those of the policy, or common widths up to the width of the original.
 * @param ownWidth Width of the original, as displayed, in pixels.
 */
export function offeredSpecs(policy: SizePolicy, ownWidth: number): readonly Spec[] {
  if (policy.kind === 'steps') return offeredSteps(policy.steps, ownWidth)
  const lower = USUAL_WIDTHS.filter((width) => width < ownWidth)
  const ladder = lower.length < USUAL_WIDTHS.length ? [...lower, ownWidth] : lower
  const texts = policy.kind === 'list' ? policy.sizes : ladder.map((width) => `${width}w`)
  return texts.map(parseSpec).filter((spec) => formatSpec(spec) === `${widthOf(spec)}w`)
}

/** Smaller widths save too little to be worth a candidate in a srcset. */
const LEAST_OFFERED = 160
const USUAL_WIDTHS = [160, 320, 480, 640, 800, 1024, 1280, 1600, 2048, 2560, 3840]

/** Steps up to the first that is as wide as the original, whose rendition is as wide as the original. */
function offeredSteps({ sides }: SizeSteps, ownWidth: number): readonly Spec[] {
  const largest = sides.find((side) => side >= ownWidth) ?? Infinity
  return sides
    .filter((side) => side <= largest && side >= LEAST_OFFERED)
    .map((width) => ({ size: { kind: 'box', width } }))
}

function admitStep(spec: Spec, { steps, answer }: Extract<SizePolicy, { kind: 'steps' }>): Admission {
  const step = stepSpec(spec, steps)
  if (formatSpec(step) === formatSpec(spec)) return {}
  return answer === 'redirect' ? { redirect: step } : { step }
}

/**
 * The sizes that are rendered in advance: with steps, those that are served for them, each once. Others are left out, since no request
 * gets them.
 */
export function primedSpecs(specs: readonly Spec[], policy: SizePolicy): readonly Spec[] {
  if (policy.kind !== 'steps') return specs
  const served = specs.flatMap((spec) => (isAllowedCombination(spec, policy.steps) ? stepSpec(spec, policy.steps) : []))
  return [...new Map(served.map((spec) => [formatSpec(spec), spec])).values()]
}

function admitListed(spec: Spec, { sizes, fallback }: Extract<SizePolicy, { kind: 'list' }>): Admission {
  if (sizes.includes(formatSpec(spec))) return {}
  const redirect = fallback === 'redirect' ? nextLarger(spec, sizes) : undefined
  if (redirect !== undefined) return { redirect }
  throw new RequestError('size_not_allowed', `"${formatSpec(spec)}" is not an allowed size (SIZES)`)
}

/** The listed spec that has the next larger width and is otherwise equal. */
function nextLarger(spec: Spec, sizes: readonly string[]): Spec | undefined {
  const width = widthOf(spec)
  if (width === undefined) return undefined
  return sizes
    .map(parseSpec)
    .filter((listed) => formatSpec(withWidth(listed, width)) === formatSpec(spec) && (widthOf(listed) ?? 0) > width)
    .toSorted((a, b) => (widthOf(a) ?? 0) - (widthOf(b) ?? 0))[0]
}

function widthOf({ size }: Spec): number | undefined {
  if (size.kind === 'square') return size.side
  return size.kind === 'box' ? size.width : undefined
}

function withWidth(spec: Spec, width: number): Spec {
  if (spec.size.kind === 'square') return { ...spec, size: { kind: 'square', side: width } }
  return spec.size.kind === 'box' && spec.size.width !== undefined ? { ...spec, size: { ...spec.size, width } } : spec
}

/** Maximum number of sizes rendered in advance for one upload. */
export const MAX_PRIME_SIZES = 20

/**
 * The sizes to render in advance, given with an upload: `?sizes=400w 800w`, separated by spaces or in repeated
 * parameters.
 *
 * @throws RequestError `invalid_upload` if one is not a canonical spec or there are too many; `size_not_allowed` if the
 *   policy does not allow one.
 */
export function parsePrimeSizes(query: URLSearchParams, policy: SizePolicy): readonly Spec[] {
  const texts = distinct(query.getAll('sizes').flatMap((value) => value.split(' ')))
  assertNotTooMany('sizes', texts)
  return texts.map((text) => parsePrimeSize(text, policy))
}

/**
 * The same for a form of Reticulum: sizes in any valid spelling, separated by commas; empty items are ignored.
 *
 * @param field Its name, for messages.
 * @param readSpec Such as `parseSpecOrReticulumSize`.
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
  if (policy.kind === 'steps') assertCombination(parseSpec(size), policy.steps)
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

/** Parameters of `POST /images`. */
const PARAMETERS = ['sizes', 'labels', 'name', 'source', 'complete'] as const

/**
 * Refuses unknown parameters: the client expects that they have an effect.
 * @throws RequestError `invalid_upload` with the name that was probably meant, or with the valid names.
 */
export function assertUploadParameters(query: URLSearchParams): void {
  const unknown = [...query.keys()].find((name) => !PARAMETERS.some((known) => known === name))
  if (unknown === undefined) return
  const meant = nearestWord(unknown.toLowerCase(), PARAMETERS, 2)
  const right = meant === undefined ? 'write /images?sizes=400w+800w, or no query' : `did you mean "${meant}"?`
  throw new RequestError('invalid_upload', `"${unknown}" is not a parameter of POST /images: ${right}`)
}
