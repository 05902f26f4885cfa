import { cssColour } from '../text/css-colour.ts'
import { nearestWord } from '../text/edit-distance.ts'
import { FITS, GRAVITIES } from './spec-option.ts'

/** A longer text is not a misspelled size; the limit also bounds the work. */
const MAX_LENGTH = 100
/** Separators between options: a comma here, others in other services. */
const SEPARATORS = /[,;&|@/\s]+/
/** Formats, which are not part of a spec. */
const EXTENSION = /\.(?:jpe?g|png|webp|avif|gif)$/
/**
 * Separators between the name of an option and its value, or between two sides, as in `q=80`, `w_400` and `400w-300h`.
 */
const JOINTS = /(?<=[a-z])[=:_-]+/g

/** Words that are valid options. */
const WORDS = [...FITS, ...GRAVITIES, 'smart', 'entropy', 'up', 'flip', 'flop', 'gray', 'sharpen', 'still'] as const

/** Words of other services, and synonyms. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['crop', 'cover'],
  ['max', 'inside'],
  ['clip', 'inside'],
  ['scaledown', 'inside'],
  ['pad', 'contain'],
  ['stretch', 'fill'],
  ['middle', 'center'],
  ['centre', 'center'],
  ['north', 'top'],
  ['northeast', 'topright'],
  ['east', 'right'],
  ['southeast', 'bottomright'],
  ['south', 'bottom'],
  ['southwest', 'bottomleft'],
  ['west', 'left'],
  ['northwest', 'topleft'],
  ['attention', 'smart'],
  ['enlarge', 'up'],
  ['upscale', 'up'],
  ['grey', 'gray'],
  ['grayscale', 'gray'],
  ['greyscale', 'gray'],
  ['sharp', 'sharpen'],
  ['static', 'still'],
])

interface Guess {
  readonly full?: string
  readonly width?: string
  readonly height?: string
  readonly side?: string
  readonly option?: string
}

/** Spellings of a size. The named groups are the lengths. */
const SIZE_FORMS = [
  /^(?<width>\d+)w(?:idth|ide)?$/,
  /^w(?:idth)?(?<width>\d+)(?:px)?$/,
  /^(?<height>\d+)h(?:eight|igh)?$/,
  /^h(?:eight)?(?<height>\d+)(?:px)?$/,
  /^(?<side>\d+)s(?:q|quare)?$/,
  /^s(?:q|quare)?(?<side>\d+)(?:px)?$/,
  /^(?:size)?(?<width>\d+)(?:px)?x(?<height>\d+)(?:px)?$/,
  /^(?<width>\d+)w(?:idth)?x?(?<height>\d+)h?(?:eight)?$/,
  /^(?<height>\d+)h(?:eight)?x?(?<width>\d+)w(?:idth)?$/,
  /^w(?:idth)?(?<width>\d+)x?h(?:eight)?(?<height>\d+)$/,
  /^(?:size)?(?<width>\d+)(?:px)?$/,
] as const

/** Spellings of options with a value, and their spelling here. */
const OPTION_FORMS = [
  [/^(?:q|quality)(?<value>\d+)%?$/, (value: string) => `q${value}`],
  [/^(?:dpr|x|scale)(?<value>[\d.]+)x?$/, (value: string) => `${value}x`],
  [/^(?<value>[\d.]+)x$/, (value: string) => `${value}x`],
  [/^(?:rot|rotate|r)(?<value>\d+)(?:deg)?$/, (value: string) => `rot${value}`],
  [/^(?:blur|bl)(?<value>[\d.]+)$/, (value: string) => `blur${value}`],
  [/^(?:bg|background)(?<value>.+)$/, (value: string) => `bg${cssColour(value) ?? ''}`],
  [/^(?<value>at[\d.]+x[\d.]+)$/, (value: string) => value],
] as const

/**
 * The probable meaning of a text that is not a spec: `400w@2x`, `w_400,h_300` or `400w300h,covr`. The caller checks
 * whether the guess is a valid spec.
 *
 * @param text In lower case.
 * @returns undefined if a part of it is not understood.
 * @example guessSpec('400w;q=80') // '400w,q80'
 */
export function guessSpec(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined
  let size: Guess = {}
  const options: string[] = []
  const tokens = text
    .replace(EXTENSION, '')
    .split(SEPARATORS)
    .map((each) => each.replaceAll(JOINTS, ''))
  for (const [index, token] of tokens.filter((each) => each !== '' && each !== 'x').entries()) {
    const guess = guessToken(token, index === 0)
    if (guess === undefined) return undefined
    const { option, ...lengths } = guess
    if (option !== undefined) options.push(option)
    if (Object.keys(lengths).some((name) => name in size)) return undefined
    size = { ...size, ...lengths }
  }
  const { full = '', side, width, height } = size
  const lengths = [side && `${side}s`, width && `${width}w`, height && `${height}h`].filter((length) => length)
  return [full + lengths.join(''), ...options].join(',')
}

function guessToken(token: string, isFirst: boolean): Guess | undefined {
  if (isFirst && nearestWord(token, ['full'], 1)) return { full: 'full' }
  for (const form of SIZE_FORMS) {
    const lengths = form.exec(token)?.groups
    // A number alone is a width only at the position of the size.
    if (lengths && (isFirst || /[a-z]/.test(token))) return lengths
  }
  for (const [form, spell] of OPTION_FORMS) {
    const value = form.exec(token)?.groups?.['value']
    if (value !== undefined) return { option: spell(value) }
  }
  const option = guessWord(token) ?? guessWord(token.replace(/^(?:fit|gravity|position|g|c)/, ''))
  return option === undefined ? undefined : { option }
}

function guessWord(word: string): string | undefined {
  if (word.length < 3) return WORDS.find((each) => each === word)
  return SYNONYMS.get(word) ?? nearestWord(word, WORDS, word.length > 4 ? 2 : 1)
}
