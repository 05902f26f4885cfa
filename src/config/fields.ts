import { z } from 'zod'
import { INPUT_FORMATS, type InputFormat, isInputFormat } from '../domain/spec/image-format.ts'
import { parseByteAmount } from '../domain/text/byte-amount.ts'
import { SettingError } from '../errors.ts'

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

/** The allowed values of a list of secrets. */
export const SECRETS = 'secrets of at least 16 characters, separated by spaces'
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
    .number({ error: 'should be a whole number, written without a unit' })
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
  /** Default: spaces. */
  readonly separator?: RegExp
}

/** For `transform`: what a parser returns, or the message of its `SettingError` as an issue. */
export const readBy =
  <T>(parse: (given: string) => T) =>
  (given: string, context: z.RefinementCtx<string>): T => {
    try {
      return parse(given)
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  }

/** Words, each read by `parse`. @param parse Throws `SettingError` for a word that is wrong. */
export const list = <T>(
  parse: (word: string) => T,
  { preset = '', max = Infinity, separator = /\s+/ }: ListOptions,
  about: Facts,
) =>
  z
    .string()
    .default(preset)
    .transform((value, context): readonly T[] => {
      const words = value.split(separator).filter((word) => word !== '')
      if (words.length > max) context.addIssue({ code: 'custom', message: `should have at most ${max} entries` })
      return words.map((word) => readBy(parse)(word, context))
    })
    .meta(facts(about))

/** @example alternatives(['open', 'list', 'signed']) // 'open, list or signed' */
export function alternatives(words: readonly string[]): string {
  return words.join(', ').replace(/, (?=[^,]*$)/, ' or ')
}

function isWebUrl(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url)
}

/** A token or key that is hard to guess. @throws SettingError that does not repeat it. */
export function parseSecret(word: string): string {
  if (word.length >= 16) return word
  throw new SettingError('each entry should have at least 16 characters; `openssl rand -hex 32` generates one')
}

/** A width or height in pixels. @throws SettingError */
export function parseStep(word: string): number {
  if (/^[1-9]\d{0,4}$/.test(word)) return Number(word)
  throw new SettingError(`"${word}" should be a whole number of pixels, such as 640`)
}

/** A format of originals. @throws SettingError */
export function parseInputFormat(word: string): InputFormat {
  if (isInputFormat(word)) return word
  throw new SettingError(`"${word}" should be one of ${INPUT_FORMATS.join(', ')}`)
}

/** A key of imgproxy, hexadecimal. @throws SettingError that does not repeat it. */
export function parseKeyAndSalt(word: string): { readonly key: string; readonly salt: string } {
  const { key, salt } = /^(?<key>(?:[0-9a-f]{2})+):(?<salt>(?:[0-9a-f]{2})+)$/i.exec(word)?.groups ?? {}
  if (key !== undefined && salt !== undefined) return { key, salt }
  throw new SettingError('each entry should be <key>:<salt>, both with an even number of hexadecimal digits')
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
