import { RequestError } from '../../errors.ts'
import { formatSpec, parseSpec } from './spec.ts'

/** What is wrong with a size in a setting, which has to be a canonical spec; undefined if nothing is. */
export function specMistake(text: string): string | undefined {
  try {
    const canonical = formatSpec(parseSpec(text))
    return canonical === text ? undefined : `"${text}" should be written as "${canonical}"`
  } catch (error) {
    if (error instanceof RequestError) return error.message
    throw error
  }
}
