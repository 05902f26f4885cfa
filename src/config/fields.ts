import { z } from 'zod'
import { INPUT_FORMATS, isInputFormat } from '../domain/spec/image-format.ts'
import { parseByteAmount } from '../domain/text/byte-amount.ts'
import { SettingError } from '../domain/text/setting-error.ts'

/** The documentation of a setting, as far as its schema cannot know it. */
export interface Facts {
  /** What the setting does, in full sentences. */
  readonly about: string
  /** The unit of a number: seconds, pixels, bytes. */
  readonly unit?: string
  /** The accepted format, in words. */
  readonly allowed?: string
  /** What applies while the setting is unset. Required where the schema has no default, or an empty one. */
  readonly whenUnset?: string
}

/** The metadata of a schema. Attach it last: a refinement or a default makes a new schema. */
export const facts = ({ about, ...others }: Facts): z.core.GlobalMeta => ({ description: about, ...others })

const BYTE_AMOUNT = 'bytes, such as 1048576, 64M or 2G'

/** Any text. Default: empty. */
export const text = (about: Facts) => z.string().default('').meta(facts(about))
/** `true` or `false`. */
export const flag = (preset: boolean, about: Facts) =>
  z
    .stringbool({ error: 'should be true or false' })
    .default(preset)
    .meta(facts({ allowed: 'true or false', ...about }))
/** One of some words. */
export const choice = <const Words extends readonly [string, ...string[]]>(
  words: Words,
  preset: z.util.NoUndefined<Words[number]>,
  about: Facts,
) =>
  z
    .enum(words, { error: `should be ${alternatives(words)}` })
    .default(preset)
    .meta(facts(about))
/** A URL; slashes at its end are removed. Default: empty. @param example A correct one, for messages. */
export const webUrl = (example: string, about: Facts) =>
  z
    .string()
    .refine((url) => url === '' || isWebUrl(url), `should begin with http:// or https://, such as ${example}`)
    .default('')
    .transform((url) => url.replace(/\/+$/, ''))
    .meta(facts({ allowed: `http:// or https:// URL, such as ${example}`, ...about }))
/** A whole number. @param max Absent: no maximum. */
export const whole = (min: number, max?: number) => {
  const schema = z.coerce
    .number({ error: 'should be a whole number' })
    .int('should be a whole number')
    .min(min, `should be at least ${min}`)
  return max === undefined ? schema : schema.max(max, `should be at most ${max}`)
}
/** A whole number of at least 1 with a default. */
export const count = (preset: number, about: Facts) => whole(1).default(preset).meta(facts(about))
/** A number of bytes, as 1048576, 64M or 2G. */
const amount = z.string().transform((value, context) => {
  const bytes = parseByteAmount(value)
  if (bytes !== undefined && bytes > 0) return bytes
  context.addIssue({ code: 'custom', message: 'should be a number of bytes such as 1048576, 64M or 2G' })
  return z.NEVER
})
/** Bytes with a default. */
export const byteSize = (preset: number, about: Facts) =>
  amount.default(preset).meta(facts({ allowed: BYTE_AMOUNT, ...about }))
/** Bytes whose default depends on the machine. */
export const optionalByteSize = (about: Facts) => amount.optional().meta(facts({ allowed: BYTE_AMOUNT, ...about }))

interface ListOptions {
  readonly preset?: string
  readonly max?: number
  /** What is wrong with a word, if anything. Absent: any word is correct. */
  readonly check?: (word: string) => string | undefined
}

/** Words separated by spaces. */
export const list = ({ preset = '', max = Infinity, check = () => undefined }: ListOptions, about: Facts) =>
  z
    .string()
    .default(preset)
    .transform((value, context) => {
      const words = value.split(/\s+/).filter((word) => word !== '')
      for (const message of words.flatMap((word) => check(word) ?? [])) context.addIssue({ code: 'custom', message })
      if (words.length > max) context.addIssue({ code: 'custom', message: `should have at most ${max} entries` })
      return words
    })
    .meta(facts(about))

/** @example alternatives(['open', 'list', 'signed']) // 'open, list or signed' */
export function alternatives(words: readonly string[]): string {
  return words.join(', ').replace(/, (?=[^,]*$)/, ' or ')
}

function isWebUrl(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url)
}

/** A check for `list`: a token or key that is hard to guess. The message does not repeat it. */
export function checkSecret(word: string): string | undefined {
  if (word.length >= 16) return undefined
  return 'each entry should have at least 16 characters; `openssl rand -hex 32` generates one'
}

/** A check for `list`: a format of originals. */
export function checkFormat(word: string): string | undefined {
  return isInputFormat(word) ? undefined : `"${word}" should be one of ${INPUT_FORMATS.join(', ')}`
}

/** A check for `list` by a parser. */
export const readable =
  (parse: (word: string) => unknown) =>
  (word: string): string | undefined => {
    try {
      parse(word)
      return undefined
    } catch (error) {
      if (error instanceof SettingError) return error.message
      throw error
    }
  }

/** A check for `list`: a key of imgproxy. The message does not repeat it. */
export function checkKeyAndSalt(word: string): string | undefined {
  if (/^(?:[0-9a-f]{2})+:(?:[0-9a-f]{2})+$/i.test(word)) return undefined
  return 'each entry should be <key>:<salt>, both with an even number of hexadecimal digits'
}

/** Prefix of a dialect's relative source URLs. */
export const sourceBase = (preset: string, about: Facts) =>
  z
    .string()
    .regex(
      /^(?:|https?:\/\/(?:.+\/)?|s3:\/\/[^/]+\/(?:.+\/)?|image\/)$/,
      'should be https://, https://<host>/<path>/, s3://<bucket>/<prefix>/ or image/, with a slash at the end',
    )
    .default(preset)
    .meta(facts({ allowed: 'https://, https://<host>/<path>/, s3://<bucket>/<prefix>/ or image/', ...about }))
