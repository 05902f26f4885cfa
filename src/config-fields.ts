import { z } from 'zod'
import { parseByteAmount } from './domain/byte-amount.ts'
import { INPUT_FORMATS, isInputFormat } from './domain/image-format.ts'
import { SettingError } from './domain/setting-error.ts'

/** Any text; absent: empty. */
export const text = (about: string) => z.string().default('').describe(about)
/** A URL without the slashes at its end; absent: empty. @param example A correct one, for messages. */
export const webUrl = (about: string, example: string) =>
  z
    .string()
    .refine((url) => url === '' || isWebUrl(url), `should begin with http:// or https://, such as ${example}`)
    .default('')
    .transform((url) => url.replace(/\/+$/, ''))
    .describe(about)
/** A whole number. */
export const whole = z.coerce.number({ error: 'should be a whole number' }).int('should be a whole number')
/** A whole number with a default, and a least one. */
export const count = (about: string, preset: number, min = 1) =>
  whole.min(min, `should be at least ${min}`).default(preset).describe(about)
/** A number of bytes, as 1048576, 64M or 2G. */
export const amount = z.string().transform((value, context) => {
  const bytes = parseByteAmount(value)
  if (bytes !== undefined && bytes > 0) return bytes
  context.addIssue({ code: 'custom', message: 'should be a number of bytes such as 1048576, 64M or 2G' })
  return z.NEVER
})
/** The same with a default. */
export const byteSize = (about: string, preset: number) => amount.default(preset).describe(about)
/** Words separated by spaces. `check` says what is wrong with one, if anything. */
export const list = (about: string, preset: string, check: (word: string) => string | undefined) =>
  z
    .string()
    .default(preset)
    .transform((value, context) => {
      const words = value.split(/\s+/).filter((word) => word !== '')
      for (const message of words.flatMap((word) => check(word) ?? [])) context.addIssue({ code: 'custom', message })
      return words
    })
    .describe(about)

function isWebUrl(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url)
}

/** A check for `list`: of what should be hard to guess. */
export function checkSecret(word: string): string | undefined {
  if (word.length >= 16) return undefined
  return 'each should have 16 characters or more, such as `openssl rand -hex 32` prints'
}

/** A check for `list`: of formats of originals. */
export function checkFormat(word: string): string | undefined {
  return isInputFormat(word) ? undefined : `"${word}" is none of ${INPUT_FORMATS.join(' ')}`
}

/** A check for `list` that asks a parser. */
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

/** A check for `list`: of imgproxy's keys. */
export function checkKeyAndSalt(word: string): string | undefined {
  if (/^(?:[0-9a-f]{2})+:(?:[0-9a-f]{2})+$/i.test(word)) return undefined
  return 'each should be <key>:<salt>, both in pairs of hexadecimal digits'
}

/** What a dialect's relative sources begin with. */
export const sourceBase = (preset: string) =>
  z
    .string()
    .regex(/^(?:|https?:\/\/(?:.+\/)?|s3:\/\/[^/]+\/(?:.+\/)?|image\/)$/, 'should be empty, or end with a slash')
    .default(preset)
    .describe(
      'What comes before their images that name no place: https://, https://<host>/<path>/, s3://<bucket>/<prefix>/ or image/',
    )
