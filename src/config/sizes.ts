import { MAX_PRIME_SIZES } from '../domain/access/size-policy.ts'
import { createSizeSteps, DEFAULT_STEPS, maxFilesPerPicture } from '../domain/access/size-steps.ts'
import { parseCanonicalSpec } from '../domain/spec/spec.ts'
import { choice, flag, list, parseSecret, parseStep, SECRETS } from './fields.ts'

/** Of MAX_SIDE, pixels. */
export const DEFAULT_MAX_SIDE = 8192

/** Boxes have the square of this number. */
const MAX_STEPS = 32

/** The default settings. */
const USUAL_STEPS = createSizeSteps({
  sides: DEFAULT_STEPS.split(' ').map(Number),
  sizes: [],
  maxSide: DEFAULT_MAX_SIDE,
})

/** Settings of the sizes that clients may request. */
export const SIZES = {
  SIZE_POLICY: choice(['open', 'list', 'steps', 'signed'], 'open', {
    about: `Allowed sizes: all of them (open), those of SIZES (list), all of them, rounded up to SIZE_STEPS (steps), or those of URLs with a valid signature (signed). With steps, one picture has at most ${maxFilesPerPicture(USUAL_STEPS).toLocaleString('en')} files in the cache, unless SIZE_STEPS or SIZES add more.`,
  }),
  SIZE_STEPS: list(
    parseStep,
    { preset: DEFAULT_STEPS, max: MAX_STEPS },
    {
      about:
        'Widths and heights that are rendered with SIZE_POLICY=steps. A larger size is served from the largest step; steps above MAX_SIDE are not used.',
      allowed: `at most ${MAX_STEPS} whole numbers of pixels, separated by spaces`,
    },
  ),
  SIZES: list(
    parseCanonicalSpec,
    {},
    {
      about:
        'Allow-list of sizes. Required with SIZE_POLICY=list. With SIZE_POLICY=steps, each entry allows its options with every size of its kind: 400w,q80 stands for <w>w,q80. Without entries, the only option is cover.',
      allowed: 'sizes such as "400w 800w 100s", separated by spaces',
      whenUnset: 'none',
    },
  ),
  SIZES_FALLBACK: choice(['refuse', 'redirect'], 'refuse', {
    about:
      'Answer to a size that is not in SIZES: 403 (refuse), or 302 to the next larger width that is equal otherwise (redirect). With SIZE_POLICY=steps, a size between two steps is answered with the picture of its step, or with 302 to that step (redirect). Requires one of these policies.',
  }),
  URL_KEYS: list(
    parseSecret,
    {},
    {
      about:
        'Keys of URL signatures. The first one signs; all of them verify. Required with SIZE_POLICY=signed, and refused without it.',
      allowed: SECRETS,
      whenUnset: 'none',
    },
  ),
  PRIME_SIZES: list(
    parseCanonicalSpec,
    { max: MAX_PRIME_SIZES },
    {
      about: 'Sizes that are rendered after every upload, before they are requested. An upload may add its own.',
      allowed: `at most ${MAX_PRIME_SIZES} sizes such as "400w 800w", separated by spaces`,
      whenUnset: 'none',
    },
  ),
  RETICULUM_SIZES: flag(false, {
    about: 'Accept text around a size in /image/ URLs, such as thumb-400w, as Reticulum does.',
  }),
} as const
