import { RequestError } from '../../errors.ts'
import { SettingError } from '../text/setting-error.ts'
import { formatSpec, parseSpec, type Spec } from './spec.ts'

/** A size in a setting. @throws SettingError if it is no spec, or not in its canonical spelling. */
export function parseCanonicalSpec(text: string): Spec {
  const spec = read(text)
  const canonical = formatSpec(spec)
  if (canonical === text) return spec
  throw new SettingError(`"${text}" should be written as "${canonical}"`)
}

function read(text: string): Spec {
  try {
    return parseSpec(text)
  } catch (error) {
    throw error instanceof RequestError ? new SettingError(error.message, { cause: error }) : error
  }
}
